//! What a report looks like on paper: LibreOffice prints it, and the pages are counted and looked at.
//!
//! `just screens` keeps pictures of the first pages in the folder that `PADRON_SCREENS` names.

use std::{env, fs, path::Path, process::Command};

use testkit::{Form, Home, Server};

/// The pages of a report, as text.
async fn printed(server: &Server, folder: &Path, name: &str, query: &str) -> Vec<String> {
    let report = folder.join(format!("{name}.xlsx"));
    let path = format!("/report.xlsx?{query}");
    fs::write(&report, server.fetch(&path).await).unwrap();
    let profile = format!("-env:UserInstallation=file://{}/profile", folder.display());
    run(Command::new("soffice")
        .args([&profile, "--headless", "--convert-to", "pdf", "--outdir"])
        .arg(folder)
        .arg(&report));
    let pdf = report.with_extension("pdf");
    if let Some(screens) = env::var_os("PADRON_SCREENS") {
        let picture = Path::new(&screens).join(format!("report-{name}"));
        run(Command::new("pdftoppm")
            .args(["-png", "-r", "60", "-l", "4"])
            .arg(&pdf)
            .arg(picture));
    }
    // A4, on its side.
    let about = run(Command::new("pdfinfo").arg(&pdf));
    let size = about.lines().find(|line| line.starts_with("Page size:"));
    assert!(size.unwrap().contains("(A4)"), "{about}");
    assert!(size.unwrap().contains("841.89 x 595.3"), "{about}");
    let text = run(Command::new("pdftotext").arg("-layout").arg(&pdf).arg("-"));
    let pages: Vec<_> = text.split_terminator('\u{c}').map(str::to_owned).collect();
    for (number, page) in (1..).zip(&pages) {
        let footer = format!("Página {number} de {}", pages.len());
        assert!(page.contains(&footer), "{footer}: {page}");
    }
    pages
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a page shows the header of the list, or that of the Summary.
fn is_list(page: &str) -> bool {
    let shows = |header: &[&str]| {
        page.lines()
            .any(|line| header.iter().all(|title| line.contains(title)))
    };
    let list = shows(&["Referencia", "Nombre", "Número de documento", "Correo"]);
    let summary = shows(&["Ciudad", "Departamento", "Personas"]);
    assert!(list || summary, "no header: {page}");
    assert!(
        !page.contains("https://"),
        "nobody taps on an address on paper"
    );
    list
}

#[tokio::test]
#[ignore = "needs LibreOffice and Poppler: .ci/run installs them"]
async fn a_city_of_forty_seven_people_prints_on_three_pages() {
    let home = Home::new();
    let server = home.start().await;
    for number in 0..47 {
        let form = Form::whole()
            .with("name", format!("Ana María Ñáñez {number}"))
            .with("city", "05001")
            .text("email", "ana.maria.nanez@example.com");
        let answer = server.post_form(&form).send().await;
        assert_eq!(answer.unwrap().status(), 201);
    }
    let folder = tempfile::tempdir().unwrap();
    let pages = printed(&server, folder.path(), "city", "lang=es&city=05001").await;
    assert!(pages.len() <= 3, "{} pages", pages.len());
    let (list, summary): (Vec<_>, Vec<_>) = pages.iter().partition(|page| is_list(page));
    assert_eq!(
        summary.len(),
        1,
        "the Summary is on one page, with its chart"
    );
    assert!(summary[0].contains("Personas registradas por ciudad"));
    for number in 0..47 {
        let name = format!("Ana María Ñáñez {number} ");
        let shown = list.iter().filter(|page| page.contains(&name)).count();
        assert_eq!(shown, 1, "{name}");
    }
    assert!(list.last().unwrap().contains("Total"));
    server.stop().await;
}

#[tokio::test]
#[ignore = "needs LibreOffice and Poppler: .ci/run installs them"]
async fn the_summary_of_many_cities_prints_on_five_pages_with_its_chart_uncut() {
    let home = Home::new();
    let seeded = home.run(&["seed", "--count", "300", "--no-photos"]);
    assert!(seeded.status.success());
    let server = home.start().await;
    let folder = tempfile::tempdir().unwrap();
    let pages = printed(&server, folder.path(), "all", "lang=es").await;
    let (list, summary): (Vec<_>, Vec<_>) = pages.iter().partition(|page| is_list(page));
    assert!(summary.len() <= 5, "{} pages", summary.len());
    let cities: usize = summary.iter().map(|page| page.lines().count()).sum();
    assert!(cities > 150, "{cities} lines");
    let charts = summary
        .iter()
        .filter(|page| page.contains("Personas registradas por ciudad"));
    assert_eq!(charts.count(), 1, "a chart that is cut is on two pages");
    assert!(list.len() <= 12, "{} pages for 300 people", list.len());
    server.stop().await;
}
