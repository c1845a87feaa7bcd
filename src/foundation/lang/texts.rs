//! The translations: every fixed string that a person reads, Spanish and English side by side.
//!
//! Owns the words of the pages, the field errors, the problems, the chart and the workbook. A string without its
//! translation does not compile. It never holds markup or a number to fill in: sentences with a number are methods of
//! [`Lang`](super::Lang).

/// One line per string: field, Spanish, English. The English text is also the field's doc.
macro_rules! texts {
    ($($field:ident: $es:literal, $en:literal;)*) => {
        /// Every fixed string in one language. `error_<field>_<code>` is the sentence for a field
        /// error, in the summary and at the field alike; `problem_<slug>_*` are for a whole page.
        #[derive(Debug)]
        pub struct Texts {
            $(#[doc = concat!("“", $en, "”")] pub $field: &'static str,)*
        }

        impl Texts {
            /// The strings in Spanish.
            pub const ES: Self = Self { $($field: $es,)* };
            /// The strings in English.
            pub const EN: Self = Self { $($field: $en,)* };

            #[cfg(test)]
            const ALL: &[(&str, &str, &str)] = &[$((stringify!($field), $es, $en),)*];
        }
    };
}

texts! {
    // Every page.
    service: "Registro de vacunación", "Vaccination registration";
    other_language: "English", "Español";
    skip: "Ir al contenido", "Skip to content";
    footer_privacy: "Privacidad de sus datos", "Your privacy";
    footer_staff: "Acceso del personal de salud", "Health staff sign-in";
    footer_staff_page: "Panel del personal", "Staff dashboard";
    // strftime: the month is a number, and the order is the one that each reader expects.
    time_format: "%d/%m/%Y, %H:%M", "%Y-%m-%d, %H:%M";
    optional: "opcional", "optional";

    // The form.
    form_title: "Regístrese para la vacunación", "Register for vaccination";
    form_lead:
        "Toma unos dos minutos. Tenga a mano el documento de identidad: le pediremos una foto.",
        "It takes about two minutes. Have the ID card at hand: we will ask for a photo of it.";
    form_error_prefix: "Error:", "Error:";
    form_error_title: "Revise lo siguiente", "Please check the following";
    form_name: "Nombre completo", "Full name";
    form_name_hint: "Como aparece en el documento de identidad.", "As it appears on the ID card.";
    form_city: "Ciudad o municipio donde vive", "City or town of residence";
    form_city_hint:
        "Si hay varios con ese nombre, agregue una coma y el departamento.",
        "If several share the name, add a comma and the department.";
    form_city_choose: "¿Cuál es su ciudad o municipio?", "Which is your city or town?";
    form_city_none: "Ninguna de estas", "None of these";
    form_city_none_hint:
        "Envíe el formulario y podrá escribirla otra vez. No hace falta elegir la foto todavía.",
        "Send the form and you can type it again. There is no need to choose the photo yet.";
    form_photo: "Foto del documento de identidad", "Photo of the ID card";
    form_photo_hint:
        "El lado donde está la cara, sin reflejos y con las letras legibles. JPEG, PNG o WebP, hasta 10 MB.",
        "The side with the face, free of glare and easy to read. JPEG, PNG or WebP, up to 10 MB.";
    form_photo_again:
        "Elija la foto otra vez: por seguridad, el navegador no la guarda.",
        "Choose the photo again: for safety, the browser does not keep it.";
    form_document_number: "Número de documento", "ID number";
    form_document_number_hint:
        "Evita registrar dos veces a la misma persona. Con o sin puntos; el del pasaporte, con sus letras.",
        "It prevents registering the same person twice. With or without dots; a passport's with its letters.";
    form_document_type: "Tipo de documento", "Type of ID";
    document_cc: "Cédula de ciudadanía (CC)", "Citizen's ID card: cédula de ciudadanía (CC)";
    document_ti: "Tarjeta de identidad (TI)", "Minor's ID card: tarjeta de identidad (TI)";
    document_ce: "Cédula de extranjería (CE)", "Foreigner's ID card: cédula de extranjería (CE)";
    document_ppt: "Permiso por Protección Temporal (PPT)", "Temporary protection permit (PPT)";
    document_passport: "Pasaporte", "Passport";
    document_other: "Otro documento", "Another document";
    form_email: "Correo electrónico", "E-mail";
    form_email_hint:
        "Solo para avisarle si hay un problema con su registro. Por ejemplo: nombre@ejemplo.com",
        "Only to reach you if something is wrong with your registration. For example: name@example.com";
    form_submit: "Enviar registro", "Send registration";
    form_check: "Continuar", "Continue";

    // The privacy notice, beside the photo.
    privacy_title: "Qué hacemos con la foto y los datos", "What we do with the photo and the data";
    privacy_purpose_title: "Para qué", "Purpose";
    privacy_purpose:
        "Para organizar la vacunación y comprobar la identidad de cada persona. Para nada más.",
        "To organise the vaccination and to check who each person is. For nothing else.";
    privacy_keeper_title: "Quién los guarda", "Who keeps them";
    privacy_keeper:
        "La entidad de salud que organiza la vacunación. Solo su personal autorizado puede verlos.",
        "The health authority that organises the vaccination. Only its authorised staff can see them.";
    privacy_seal_title: "Cómo se protegen", "How they are protected";
    privacy_seal:
        "Se guardan cifrados. Quitamos de la foto los datos ocultos, como el lugar donde se tomó.",
        "They are stored encrypted. We remove hidden data from the photo, such as where it was taken.";
    privacy_time_title: "Por cuánto tiempo", "For how long";
    privacy_time:
        "Hasta que termine la vacunación o hasta que usted pida borrarlos. Lo que no termina de enviar se borra a la media hora.",
        "Until the vaccination is over or until you ask to have them deleted. What you do not finish sending is deleted after half an hour.";
    privacy_delete_title: "Cómo corregirlos o borrarlos", "How to correct or delete them";
    privacy_delete:
        "Pídalo en su puesto de vacunación con el número de referencia y el documento (Ley 1581 de 2012).",
        "Ask at your vaccination post, with the reference number and the ID card (Law 1581 of 2012).";

    // The confirmation.
    registered_title: "Registro recibido", "Registration received";
    registered_reference: "Número de referencia", "Reference number";
    registered_city: "Ciudad o municipio", "City or town";
    registered_time: "Fecha y hora", "Date and time";
    registered_keep_title: "Guarde este número", "Keep this number";
    registered_keep:
        "Anótelo, tome una captura de pantalla o imprima esta página.",
        "Write it down, take a screenshot or print this page.";
    registered_next_title: "Qué sigue", "What happens next";
    registered_next_wait:
        "Espere el aviso de vacunación de su ciudad o municipio.",
        "Wait for the vaccination notice of your city or town.";
    registered_next_bring:
        "Lleve este número y el documento de identidad al puesto de vacunación.",
        "Bring this number and the ID card to the vaccination post.";
    registered_next_once:
        "No hace falta registrar otra vez a la misma persona.",
        "There is no need to register the same person again.";
    registered_another: "Registrar a otra persona", "Register another person";

    // Staff.
    sign_in_title: "Acceso del personal de salud", "Health staff sign-in";
    sign_in_token: "Código de acceso", "Access code";
    sign_in_token_hint: "Se lo entrega quien administra el sistema.", "Ask the system's administrator for it.";
    sign_in_submit: "Entrar", "Sign in";
    sign_in_failed:
        "Ese código no es correcto. Revíselo y escríbalo otra vez.",
        "That code is not correct. Check it and type it again.";
    staff_title: "Panel del personal", "Staff dashboard";
    staff_sign_out: "Salir", "Sign out";
    staff_report_title: "Descargar el reporte", "Download the report";
    staff_report_all: "Todas las ciudades", "All cities";
    staff_report_xlsx: "Excel (.xlsx)", "Excel (.xlsx)";
    staff_report_csv: "Texto (.csv)", "Text (.csv)";
    staff_report_city: "Una sola ciudad", "One city only";
    staff_report_choose: "Elija una ciudad", "Choose a city";
    staff_report_submit: "Descargar Excel", "Download Excel";
    staff_report_note:
        "El reporte tiene datos personales. Guárdelo en un lugar seguro y bórrelo cuando no lo necesite.",
        "The report holds personal data. Keep it in a safe place and delete it when you no longer need it.";
    staff_totals_title: "Totales por ciudad", "Totals per city";
    staff_totals_note:
        "La gráfica y la tabla se actualizan cada vez que se descarga un reporte.",
        "The chart and the table are updated each time a report is downloaded.";
    staff_chart_alt:
        "Gráfica de barras con las personas registradas por ciudad. La tabla da los mismos números.",
        "Bar chart of the people registered by city. The table gives the same numbers.";
    staff_count: "Personas", "People";
    staff_download: "Reporte", "Report";

    // Field errors.
    error_name_required: "Escriba el nombre completo.", "Enter the full name.";
    error_name_too_long: "Escriba el nombre con 200 caracteres o menos.", "Enter the name in 200 characters or fewer.";
    error_name_control:
        "Escriba el nombre otra vez, sin copiar y pegar: tiene caracteres que no se ven.",
        "Type the name again, without copy and paste: it has characters that cannot be seen.";
    error_name_reordered:
        "Escriba el nombre otra vez, sin copiar y pegar: trae marcas ocultas que cambian el orden de las letras.",
        "Type the name again, without copy and paste: it has hidden marks that change the order of the letters.";
    error_name_not_utf8:
        "Escriba el nombre otra vez: tiene caracteres que no podemos leer.",
        "Type the name again: it has characters that we cannot read.";
    error_city_required: "Escriba su ciudad o municipio.", "Enter your city or town.";
    error_city_unknown:
        "No encontramos esa ciudad en la lista. Revise cómo está escrita.",
        "We could not find that city in the list. Check the spelling.";
    error_city_ambiguous:
        "Hay más de una ciudad con ese nombre. Indique cuál es la suya.",
        "More than one city has that name. Say which one is yours.";
    error_city_reordered:
        "Escriba la ciudad o municipio otra vez, sin copiar y pegar: trae marcas ocultas que cambian el orden de las letras.",
        "Type the city or town again, without copy and paste: it has hidden marks that change the order of the letters.";
    error_city_not_utf8:
        "Escriba la ciudad o municipio otra vez: tiene caracteres que no podemos leer.",
        "Type the city or town again: it has characters that we cannot read.";
    error_photo_required: "Elija una foto del documento de identidad.", "Choose a photo of the ID card.";
    error_photo_empty: "El archivo de la foto está vacío. Elija otra foto.", "The photo file is empty. Choose another photo.";
    error_photo_too_large:
        "La foto pesa más de 10 MB. Elija otra o tómela de nuevo con menos resolución.",
        "The photo is larger than 10 MB. Choose another or take it again at a lower resolution.";
    error_photo_unsupported:
        "Ese archivo no es una foto JPEG, PNG o WebP. Elija otra foto.",
        "That file is not a JPEG, PNG or WebP photo. Choose another photo.";
    error_photo_heic:
        "La foto está en formato HEIC. Envíela como JPEG, o en el iPhone abra Ajustes, Cámara, Formatos, elija «Más compatible» y tómela de nuevo.",
        "The photo is in HEIC format. Send it as JPEG, or on the iPhone open Settings, Camera, Formats, choose “Most Compatible” and take it again.";
    error_photo_animated: "La imagen tiene movimiento. Elija una foto fija.", "The image is animated. Choose a still photo.";
    error_photo_too_many_pixels:
        "La foto mide más de 8000 píxeles por lado. Elija otra o tómela de nuevo con menos resolución.",
        "The photo is more than 8000 pixels on a side. Choose another or take it again at a lower resolution.";
    error_photo_too_few_pixels:
        "La foto es muy pequeña para leerse: su lado más largo tiene menos de 320 píxeles. Elija otra o tómela de nuevo con más resolución.",
        "The photo is too small to read: its longer side has fewer than 320 pixels. Choose another or take it again at a higher resolution.";
    error_photo_truncated:
        "La foto llegó incompleta. Elíjala otra vez y espere a que termine el envío.",
        "The photo arrived incomplete. Choose it again and wait until it has been sent.";
    error_photo_malformed:
        "La foto está dañada y no se puede abrir. Elija otra o tómela de nuevo.",
        "The photo is damaged and cannot be opened. Choose another or take it again.";
    error_photo_bomb:
        "No podemos abrir esta imagen de forma segura. Tome una foto nueva del documento.",
        "We cannot open this image safely. Take a new photo of the ID card.";
    error_document_type_format:
        "Elija el tipo de documento: CC, TI, CE, PPT, passport u other.",
        "Choose the type of ID: CC, TI, CE, PPT, passport or other.";
    error_document_number_cc:
        "Escriba el número de la cédula con 3 a 11 dígitos, con o sin puntos de miles, o deje el campo vacío.",
        "Enter the number of the cédula in 3 to 11 digits, with or without thousands separators, or leave the field empty.";
    error_document_number_ti:
        "Escriba el número de la tarjeta de identidad con 6 a 11 dígitos, con o sin puntos de miles, o deje el campo vacío.",
        "Enter the number of the tarjeta de identidad in 6 to 11 digits, with or without thousands separators, or leave the field empty.";
    error_document_number_ce:
        "Escriba el número de la cédula de extranjería con 3 a 10 dígitos, con o sin puntos de miles, o deje el campo vacío.",
        "Enter the number of the cédula de extranjería in 3 to 10 digits, with or without thousands separators, or leave the field empty.";
    error_document_number_ppt:
        "Escriba el número del permiso con 3 a 15 dígitos, con o sin puntos de miles, o deje el campo vacío.",
        "Enter the number of the permit in 3 to 15 digits, with or without thousands separators, or leave the field empty.";
    error_document_number_passport:
        "Escriba el número del pasaporte con 4 a 16 letras y dígitos, o deje el campo vacío.",
        "Enter the number of the passport in 4 to 16 letters and digits, or leave the field empty.";
    error_document_number_other:
        "Escriba el número del documento con 3 a 20 letras y dígitos, o deje el campo vacío.",
        "Enter the number of the document in 3 to 20 letters and digits, or leave the field empty.";
    error_document_number_reordered:
        "Escriba el número de documento otra vez, sin copiar y pegar: trae marcas ocultas que cambian el orden de las letras.",
        "Type the ID number again, without copy and paste: it has hidden marks that change the order of the letters.";
    error_document_number_not_utf8:
        "Escriba el número de documento otra vez: tiene caracteres que no podemos leer.",
        "Type the ID number again: it has characters that we cannot read.";
    error_email_format:
        "Escriba un correo como nombre@ejemplo.com, o deje el campo vacío.",
        "Enter an e-mail like name@example.com, or leave the field empty.";
    error_email_too_long:
        "Escriba el correo con 254 caracteres o menos.",
        "Enter the e-mail in 254 characters or fewer.";
    error_email_reordered:
        "Escriba el correo otra vez, sin copiar y pegar: trae marcas ocultas que cambian el orden de las letras.",
        "Type the e-mail again, without copy and paste: it has hidden marks that change the order of the letters.";
    error_email_not_utf8:
        "Escriba el correo otra vez: tiene caracteres que no podemos leer.",
        "Type the e-mail again: it has characters that we cannot read.";
    error_idempotency_key_format:
        "El formulario no llegó completo: idempotency_key es de 8 a 128 caracteres ASCII visibles. Envíelo otra vez.",
        "The form did not arrive complete: idempotency_key is 8 to 128 visible ASCII characters. Send it again.";

    error_since_format:
        "La fecha «desde» (since) es un día, como 2026-11-24, o una hora, como 2026-11-24T08:00:00-05:00; de 1970 a 9999.",
        "The first date (since) is a day, like 2026-11-24, or a time, like 2026-11-24T08:00:00-05:00; from 1970 to 9999.";
    error_until_format:
        "La fecha «hasta» (until) es un día, como 2026-11-24, o una hora, como 2026-11-24T08:00:00-05:00; de 1970 a 9999.",
        "The last date (until) is a day, like 2026-11-24, or a time, like 2026-11-24T08:00:00-05:00; from 1970 to 9999.";
    error_until_backwards:
        "La fecha «hasta» (until) no puede ser anterior a la fecha «desde» (since).",
        "The last date (until) cannot be before the first (since).";

    // Problems: a title and what to do.
    problem_home: "Ir al formulario de registro", "Go to the registration form";
    problem_staff_home: "Ir al panel del personal", "Go to the staff dashboard";
    problem_request: "Si pide ayuda, dé este código:", "If you ask for help, give this code:";
    problem_already_registered_title: "Este documento ya está registrado", "This ID number is already registered";
    problem_already_registered:
        "Ese número de documento ya está registrado. Revíselo; si es correcto y perdió la referencia, vaya a su puesto de vacunación con el documento.",
        "That ID number is already registered. Check it; if it is right and you lost the reference, go to your vaccination post with the ID card.";
    problem_key_reused_title: "Este formulario ya se envió", "This form was already sent";
    problem_key_reused:
        "El primer envío se guardó y este, con otra foto u otros datos, no. Si es para la misma persona, no envíe otra vez: abra el registro y guarde el número de referencia. Envíe otra vez solo para registrar a otra persona.",
        "The first one was saved and this one, with another photo or other answers, was not. If it is for the same person, do not send again: open the registration and keep the reference number. Send again only to register another person.";
    problem_unavailable_title: "El servicio no responde en este momento", "The service is not answering right now";
    problem_unavailable:
        "Espere unos segundos y envíe otra vez. No se perdió nada: si ya había quedado registrado, no se repetirá.",
        "Wait a few seconds and send again. Nothing was lost: if you were already registered, it will not be repeated.";
    problem_too_many_title: "Hay muchos envíos al mismo tiempo", "Too many people are sending at once";
    problem_too_many:
        "Espere unos segundos y envíe otra vez. Este intento no quedó registrado.",
        "Wait a few seconds and send again. This attempt was not registered.";
    problem_too_large_title: "El envío es demasiado grande", "The form is too large";
    problem_too_large:
        "Elija una foto de 10 MB o menos y envíe otra vez.",
        "Choose a photo of 10 MB or less and send again.";
    problem_malformed_title: "No pudimos leer el envío", "We could not read the form";
    problem_malformed:
        "Quizá se cortó la conexión. Vuelva al formulario, llénelo y envíelo otra vez.",
        "Perhaps the connection broke. Go back to the form, fill it in and send it again.";
    problem_one_address_title:
        "Desde su red llegan demasiados intentos", "Too many attempts come from your network";
    problem_one_address:
        "Espere unos segundos e intente otra vez. Este intento no quedó registrado.",
        "Wait a few seconds and try again. This attempt was not registered.";
    problem_timeout_title: "El envío tardó demasiado", "Sending took too long";
    problem_timeout:
        "Busque una mejor señal o elija una foto más liviana, y envíe otra vez.",
        "Find a better signal or choose a smaller photo, and send again.";
    problem_unsupported_title: "No pudimos leer el envío", "We could not read the form";
    problem_unsupported: "Use el formulario de esta página para registrarse.", "Use the form on this site to register.";
    problem_not_found_title: "No encontramos esta página", "We could not find this page";
    problem_not_found:
        "Revise la dirección. Si busca un registro, revise el número de referencia letra por letra.",
        "Check the address. If you are looking for a registration, check the reference letter by letter.";
    problem_unauthorized_title: "Solo para el personal de salud", "For health staff only";
    problem_unauthorized: "Entre con su código de acceso e intente otra vez.", "Sign in with your access code and try again.";
    problem_forbidden_title: "No podemos aceptar este envío", "We cannot accept this form";
    problem_forbidden:
        "Llegó desde otro sitio. Abra el formulario de esta página y envíelo desde allí.",
        "It came from another site. Open the form on this site and send it from there.";
    problem_internal_title: "Algo falló de nuestro lado", "Something went wrong on our side";
    problem_internal:
        "Espere un minuto e intente otra vez. Si se repite, avise en su puesto de vacunación.",
        "Wait a minute and try again. If it happens again, tell your vaccination post.";

    problem_method_title: "Esta dirección no se abre así", "This address does not open like this";
    problem_method: "Vuelva con el botón de esta página.", "Go back with the button on this page.";

    // What staff are told instead, on their own pages.
    problem_staff_unavailable:
        "No podemos leer los registros o las fotos. Espere unos segundos e intente otra vez.",
        "We cannot read the records or the photos. Wait a few seconds and try again.";
    problem_staff_busy_title: "Se están haciendo otros reportes", "Other reports are being made";
    problem_staff_busy:
        "Solo se hacen unos pocos a la vez. Espere un minuto y descargue otra vez.",
        "Only a few are made at once. Wait a minute and download again.";
    problem_staff_city_title: "No encontramos esa ciudad", "We could not find that city";
    problem_staff_city:
        "Vuelva al panel y elija la ciudad en la lista.",
        "Go back to the dashboard and choose the city from the list.";
    problem_staff_period_title: "Revise las fechas", "Check the dates";
    problem_staff_internal:
        "Espere un minuto e intente otra vez. Si se repite, avise a quien administra el sistema.",
        "Wait a minute and try again. If it happens again, tell the system's administrator.";

    // The chart.
    chart_title: "Personas registradas por ciudad", "People registered by city";
    chart_empty: "Aún no hay registros", "No registrations yet";
    total: "Total", "Total";
    as_of: "Datos al", "As of";

    // The workbook; tab names stay within Excel's 31 characters.
    report_title: "Personas registradas para la vacunación", "People registered for vaccination";
    report_sheet_summary: "Resumen", "Summary";
    report_filter: "Filtro", "Filter";
    report_all_cities: "Todas las ciudades", "All cities";
    report_instance: "Instancia", "Instance";
    report_sheet_people: "Personas", "People";
    report_period: "Registradas", "Registered";
    report_always: "desde el comienzo", "since the beginning";
    report_since: "desde el", "from";
    report_until: "hasta antes del", "until before";
    report_page: "Página", "Page";
    report_page_of: "de", "of";
    // As spreadsheet programs spell it: day, month, year, hour, minute.
    report_time_format: "dd/mm/yyyy hh:mm", "yyyy-mm-dd hh:mm";
    column_number: "N.º", "No.";
    column_reference: "Referencia", "Reference";
    column_name: "Nombre", "Name";
    column_document_number: "Número de documento", "ID number";
    column_city: "Ciudad", "City";
    column_department: "Departamento", "Department";
    column_registered_at: "Fecha de registro", "Registered at";
    column_email: "Correo electrónico", "E-mail";
    column_photo: "Dirección de la foto", "Photo address";

    // The charts, beside the one of cities.
    chart_title_departments: "Personas registradas por departamento", "People registered by department";
    chart_title_days: "Registros por día, últimos 30 días", "Registrations per day, last 30 days";
    chart_empty_hint:
        "La gráfica se actualiza con cada reporte.", "The chart is updated by every report.";
    chart_empty_days_hint:
        "Aquí se ve cada registro unos segundos después.",
        "Every registration shows here a few seconds later.";
    today: "Hoy", "Today";
    day_format: "%d/%m", "%m-%d";

    // The dashboard.
    staff_today: "Registradas hoy", "Registered today";
    staff_in_all: "Registradas en total", "Registered in all";
    staff_at: "a las", "at";
    staff_in_report: "En el último reporte", "In the latest report";
    staff_live_away: "No podemos contar en este momento.", "We cannot count right now.";
    staff_report_new:
        "Desde el último reporte de todas las ciudades", "Since the latest report of all cities";
    staff_filter_city: "Buscar en la lista", "Search the list";
    staff_filter_found: "ciudades en la lista", "cities in the list";
    staff_by_city: "Por ciudad", "By city";
    staff_by_department: "Por departamento", "By department";
    staff_days_alt:
        "Gráfica de barras de los registros de cada uno de los últimos 30 días.",
        "Bar chart of the registrations on each of the last 30 days.";
    staff_search: "Buscar ciudad", "Search city";
    staff_department: "Departamento", "Department";
    staff_all_departments: "Todos", "All";
    staff_show: "Mostrar", "Show";
    staff_show_all: "Mostrar todas", "Show all";
    staff_none_found: "Ninguna ciudad con registros responde a esa búsqueda.", "No city with registrations fits that search.";
    staff_session_over: "Su sesión venció. Entre otra vez.", "Your session has expired. Sign in again.";
    staff_session_over_download:
        "Su sesión venció. Entre otra vez y la descarga empezará sola.",
        "Your session has expired. Sign in again and the download will start by itself.";
    staff_download_starts:
        "La descarga empezó. Si no aparece, use este enlace:",
        "The download has started. If you do not see it, use this link:";
    staff_download_again: "Descargar", "Download";
    staff_download_running: "Descargando… No cierre esta página.", "Downloading… Do not close this page.";
    staff_download_done: "Descarga completa:", "Download complete:";
    staff_download_failed:
        "La descarga se cortó y no se guardó nada. Intente otra vez.",
        "The download broke off and nothing was saved. Try again.";
    staff_download_busy:
        "Se están haciendo otros reportes. Espere un minuto y descargue otra vez.",
        "Other reports are being made. Wait a minute and download again.";
    staff_download_cancel: "Cancelar", "Cancel";
    staff_download_cancelled: "Descarga cancelada.", "Download cancelled.";

    // The description of the interface.
    docs_title: "La interfaz de padron", "The interface of padron";
    docs_lead:
        "Cada ruta con sus parámetros y respuestas, hecha de openapi.json.",
        "Every route with its parameters and answers, made from openapi.json.";
    docs_file: "La descripción completa en OpenAPI 3.1", "The whole description in OpenAPI 3.1";
    docs_public: "Para todos", "For everybody";
    docs_staff: "Para el personal", "For staff";
    docs_token: "Authorization: Bearer, o un navegador que entró", "Authorization: Bearer, or a signed-in browser";
    docs_parameters: "Parámetros", "Parameters";
    docs_required: "obligatorio", "required";
    docs_body: "Cuerpo", "Body";
    docs_answers: "Respuestas", "Answers";
    docs_schemas: "Objetos de JSON", "JSON objects";
    docs_register: "Registra a una persona. Si la respuesta se pierde, se puede enviar otra vez sin registrarla dos veces.", "Registers a person. When the answer is lost it can be sent again without registering them twice.";
    docs_registration: "Comprueba que un registro existe, sin datos personales.", "Proves that a registration exists, without personal data.";
    docs_photo: "La foto de un registro. Cada consulta queda en la auditoría.", "The photo of a registration. Every look at one is in the audit log.";
    docs_chart: "La gráfica de totales por ciudad o por departamento, como los contaron los últimos reportes, o de registros por día, como están ahora.", "The chart of totals per city or department, as the latest reports counted them, or of registrations per day, as they are now.";
    docs_totals: "Los números de la gráfica.", "The numbers of the chart.";
    docs_cities: "Busca en el catálogo de ciudades y municipios.", "Searches the catalogue of cities.";
    docs_livez: "Si el proceso vive.", "Whether the process lives.";
    docs_readyz: "Si esta réplica puede recibir trabajo.", "Whether this replica should be sent requests.";
    docs_xlsx: "La lista completa y el total, en un libro de Excel que se envía mientras se hace.", "The full list and the total, as an Excel workbook that is streamed.";
    docs_csv: "Las mismas filas en texto CSV.", "The same rows as CSV.";
    docs_in_english:
        "Los nombres y las explicaciones de los campos están en inglés, como en el código.",
        "Names and meanings of fields are those of the code.";

    // A form before it is sent.
    form_photo_kept: "Foto que ya recibimos", "Photo that we already have";
    form_photo_change:
        "Ya tenemos su foto. Elija otra solo si quiere cambiarla.",
        "We already have your photo. Choose another only to change it.";
    form_consent:
        "Autorizo que se guarden y usen estos datos y la foto, que son datos sensibles, para la vacunación, como dice el aviso de privacidad.",
        "I authorise these data and the photo, which are sensitive data, to be kept and used for the vaccination, as the privacy notice says.";
    form_consent_link: "Leer el aviso de privacidad", "Read the privacy notice";
    error_consent_required:
        "Marque la casilla para autorizar el uso de sus datos. Sin ella no podemos registrarle.",
        "Tick the box to authorise the use of your data. Without it we cannot register you.";
    privacy_contact_title: "A quién escribir o llamar", "Whom to write to or call";
    privacy_rights_title: "Sus derechos", "Your rights";
    privacy_rights:
        "No está obligado a autorizar el uso de datos sensibles. Puede conocer, corregir y borrar sus datos, y retirar la autorización (Ley 1581 de 2012).",
        "You are not obliged to authorise the use of sensitive data. You may see, correct and delete your data, and withdraw the authorisation (Law 1581 of 2012).";
    check_title: "Revise sus respuestas", "Check your answers";
    check_lead:
        "Todavía no se ha registrado. Si todo está bien, envíe el registro.",
        "You are not registered yet. If everything is right, send the registration.";
    check_change: "Cambiar", "Change";
    check_none: "Sin dato", "Not given";
    check_document: "Documento", "ID";
    check_photo_alt: "La foto que envió", "The photo that you sent";
    check_photo_question:
        "¿Se leen el nombre y el número? Si no, cambie la foto.",
        "Can the name and the number be read? If not, change the photo.";
    draft_gone_title: "Ese formulario ya no está", "That form is no longer here";
    draft_gone:
        "Por seguridad, lo que no se termina de enviar se borra a la media hora. Llene el formulario otra vez.",
        "For safety, what is not finished is deleted after half an hour. Fill in the form again.";
    receipt_print: "Imprimir", "Print";
    receipt_copy: "Copiar el número", "Copy the number";
    receipt_copied: "Copiado", "Copied";
    receipt_share: "Compartir", "Share";
    receipt_code_alt: "Código QR de esta página", "QR code of this page";

    // The form where scripts run.
    script_city_found: "Ciudades encontradas:", "Cities found:";
    script_city_none: "Ninguna ciudad se llama así.", "No city is called that.";
    script_photo_working: "Preparando la foto…", "Preparing the photo…";
    script_photo_preview: "La foto que eligió", "The photo you chose";
    script_photo_small:
        "La foto es pequeña y quizá no se lea. Acérquese y tómela otra vez.",
        "The photo is small and may be hard to read. Move closer and take it again.";
    script_photo_dark:
        "La foto está oscura. Busque más luz y tómela otra vez.",
        "The photo is dark. Find more light and take it again.";
    script_photo_another: "Elegir otra foto", "Choose another photo";
    script_photo_retake: "Tomar la foto otra vez", "Take the photo again";
    script_sending: "Enviando:", "Sending:";
    script_sent_all: "Todo enviado. Esperando la confirmación…", "All sent. Waiting for the confirmation…";
    script_cancel: "Cancelar el envío", "Cancel sending";
    script_canceled:
        "Detuvimos el envío. Sus respuestas y la foto siguen aquí.",
        "Sending was stopped. Your answers and the photo are still here.";
    script_retry_network:
        "Se cortó la conexión. Lo intentamos otra vez; no hace falta que haga nada.",
        "The connection broke. We are trying again; you do not need to do anything.";
    script_retry_server:
        "El servicio no responde. Lo intentamos otra vez; no hace falta que haga nada.",
        "The service is not answering. We are trying again; you do not need to do anything.";
    script_away_network:
        "No hay conexión, y todavía no está registrado. Deje esta página abierta: sus respuestas y la foto siguen aquí. Envíe otra vez cuando tenga señal.",
        "There is no connection, and you are not registered yet. Leave this page open: your answers and the photo are still here. Send again when you have a signal.";
    script_away_server:
        "El servicio no responde, y todavía no está registrado. Deje esta página abierta: sus respuestas y la foto siguen aquí. Envíe otra vez en unos minutos.",
        "The service is not answering, and you are not registered yet. Leave this page open: your answers and the photo are still here. Send again in a few minutes.";
    script_waiting_title: "Guardado en este aparato", "Kept on this device";
    script_waiting_network:
        "No hay conexión, y todavía no está registrado. Guardamos el formulario cifrado en este aparato y lo enviaremos cuando vuelva la conexión.",
        "There is no connection, and you are not registered yet. The form is kept encrypted on this device, and we will send it when the connection is back.";
    script_waiting_server:
        "El servicio no responde, y todavía no está registrado. Guardamos el formulario cifrado en este aparato y lo enviaremos cuando responda.",
        "The service is not answering, and you are not registered yet. The form is kept encrypted on this device, and we will send it when it answers.";
    script_waiting_close: "Puede cerrar esta página.", "You can close this page.";
    script_waiting_open: "Deje esta página abierta o vuelva a abrirla después.", "Leave this page open, or open it again later.";
    script_waiting_state: "Espera la conexión desde", "Waiting for the connection since";
    script_waiting_refused: "No se aceptó y hay que corregirlo. Guardado:", "It was not accepted and needs a correction. Kept:";
    script_waiting_send: "Enviar ahora", "Send now";
    script_waiting_correct: "Corregir", "Correct it";
    script_waiting_erase: "Borrar de este aparato", "Erase from this device";
    script_waiting_confirm:
        "¿Borrar este formulario? No se enviará.",
        "Erase this form? It will not be sent.";
    script_waiting_erased: "El formulario se borró de este aparato.", "The form was erased from this device.";
    script_waiting_hide: "Quitar de la lista", "Take off the list";
    script_sent_lead:
        "No hace falta enviarlo otra vez: el registro está guardado. Anote el número de referencia.",
        "There is no need to send it again: the registration is kept. Write the reference number down.";
    script_draft: "Recuperamos lo que había escrito.", "We put back what you had typed.";
    script_draft_erase: "Borrar y empezar de nuevo", "Erase it and start again";
}

impl Texts {
    /// The column headings of the report, in their order.
    #[must_use]
    pub fn columns(&self) -> [&'static str; 9] {
        [
            self.column_number,
            self.column_reference,
            self.column_name,
            self.column_document_number,
            self.column_city,
            self.column_department,
            self.column_registered_at,
            self.column_email,
            self.column_photo,
        ]
    }
}

/// The version of the privacy notice, as it is stored with whoever agreed to it. A notice with other words is another
/// version, named by its date.
pub const NOTICE: &str = "2026-11-28";

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn a_notice_with_other_words_has_another_version() {
        let mut words = Sha256::new();
        let notice = |field: &str| field.starts_with("privacy_") || field == "form_consent";
        for (field, es, en) in Texts::ALL.iter().filter(|text| notice(text.0)) {
            words.update(format!("{field}: {es} / {en}\n"));
        }
        let words = hex::encode(&words.finalize()[..8]);
        assert_eq!((NOTICE, words.as_str()), ("2026-11-28", "290eba820a447466"));
    }

    #[test]
    fn every_string_is_plain_text_in_both_languages() {
        for (field, es, en) in Texts::ALL {
            for text in [es, en] {
                assert!(!text.is_empty(), "{field} is empty");
                assert_eq!(text.trim(), *text, "{field} has outer spaces");
                assert!(
                    !text.contains(['<', '>', '&', '{', '}']),
                    "{field} has markup"
                );
            }
        }
    }

    #[test]
    fn every_error_and_problem_ends_as_a_sentence_in_both_languages() {
        let sentence = |field: &&(&str, _, _)| {
            field.0.starts_with("error_")
                || field.0.starts_with("problem_")
                    && !field.0.ends_with("_title")
                    && !["problem_home", "problem_staff_home", "problem_request"].contains(&field.0)
        };
        let sentences: Vec<_> = Texts::ALL.iter().filter(sentence).collect();
        assert_eq!(sentences.len(), 57);
        for (field, es, en) in sentences {
            assert!(es.ends_with('.') && en.ends_with('.'), "{field}");
            assert_ne!(es, en, "{field} is not translated");
        }
    }

    #[test]
    fn the_summary_tab_fits_the_limit_of_a_workbook() {
        for texts in [Texts::ES, Texts::EN] {
            for name in [texts.report_sheet_summary, texts.report_sheet_people] {
                assert!(name.chars().count() <= 20, "room for a number");
            }
        }
    }
}
