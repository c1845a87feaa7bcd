//! *A stolen disk names nobody*, and neither do logs and metrics: canaries that are planted in every request are
//! searched for in everything that the program writes.

use reqwest::{
    Response, StatusCode, header,
    multipart::{Form, Part},
};
use testkit::{CARD, Home, Search, Server, client_builder, until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::loki::Receiver;

/// What stands in the card's EXIF, comment and GPS, and behind its end.
const IN_CARD: [&str; 6] = [
    "PLANTED-MAKER",
    "PLANTED-MODEL",
    "PLANTED-ARTIST",
    "PLANTED-GPS",
    "PLANTED-COMMENT",
    "PLANTED-TRAILER",
];

const NAME: &str = "Ñusta Quetzalcóatl \"Xiuh\" Võ";
const NUMBER_TYPED: &str = "98.765.432.109";
const NUMBER: &str = "98765432109";
const EMAIL: &str = "quetzal.planted@mexihca.example";
const KEY: &str = "planted-key-7f3a9c";

/// Values that are refused, and what strangers put into addresses and headers.
const BAD_NAME: &str = "Tezcatlipoca\u{7}Refused";
const BAD_NUMBER: &str = "planted-number-12x";
const BAD_EMAIL: &str = "planted at nowhere";
const BAD_CITY: &str = "Tenochtitlan-Planted";
const BAD_KEY: &str = "clé-planted-é";
const MALFORMED: &str = "Huitzilopochtli Cut Short";
const HUNG_UP: &str = "Mictlantecuhtli Hung Up";
const PATH: &str = "planted-path-Coatlicue";
const QUERY: &str = "planted-query-Xolotl";
const HEADER: &str = "planted-header-Tlaloc";
const WRONG_TOKEN: &str = "planted-wrong-token-Ehecatl-000000000000";

const PLANTED: [&str; 16] = [
    NAME,
    NUMBER_TYPED,
    NUMBER,
    EMAIL,
    KEY,
    BAD_NAME,
    BAD_NUMBER,
    BAD_EMAIL,
    BAD_CITY,
    BAD_KEY,
    MALFORMED,
    HUNG_UP,
    PATH,
    QUERY,
    HEADER,
    WRONG_TOKEN,
];

/// Parts that would tell as much as the whole.
const FRAGMENTS: [&str; 7] = [
    "planted-file-name-Xipe",
    "Quetzalcóatl",
    "Ñusta",
    "quetzal.planted",
    "Tezcatlipoca",
    "Mictlantecuhtli",
    "Huitzilopochtli",
];

/// Files that hold secrets on purpose.
const SECRET_FILES: [&str; 2] = ["keys", "admin-token"];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_is_written_but_sealed() {
    let home = Home::new();
    std::fs::create_dir(home.path("tmp")).unwrap();
    let loki = Receiver::start().await;
    let server = home
        .start_with(&[
            ("RUST_LOG", "trace"),
            ("TMPDIR", "tmp"),
            ("PADRON_LOKI_URL", &loki.url),
        ])
        .await;
    let mut search = Search::of(PLANTED.into_iter().chain(FRAGMENTS).chain(IN_CARD));
    let clean = padron::domain::photo::clean(CARD).unwrap();
    // Somewhere within the pixels, where no two pictures agree.
    let middle = clean.bytes().len() / 2;
    search.add("the photo", clean.bytes()[middle..middle + 32].to_vec());
    // As SQLite would store the number as an integer: six bytes, the highest first.
    search.add(
        "the number as an integer",
        NUMBER.parse::<u64>().unwrap().to_be_bytes()[2..].to_vec(),
    );

    let reference = register(&server, &search).await;
    be_refused(&server, &search).await;
    be_cut(&server).await;
    wander(&server, &search, &reference).await;
    let session = sign_in(&server).await;
    read_everything(&server, &search, &reference, clean.bytes()).await;

    // Tokens are no one's name, and open everything.
    let token = server.admin_token();
    search.extend([token.as_str(), &session]);
    search.finds_nothing_in("standard error", server.stderr().as_bytes());
    let code = sign_in_code(&server);
    search.extend([code.as_str()]);
    let log = until("the last report's line", async || {
        let log = server.stdout();
        (log.matches("report finished").count() == 2).then_some(log)
    })
    .await;
    assert!(
        log.contains(r#""level":"DEBUG""#),
        "the log is not at its fullest"
    );
    search.finds_nothing_in("standard output", log.as_bytes());
    let talkative = log.lines().filter(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let of_ours = line["target"].as_str().unwrap().starts_with("padron");
        !of_ours
            && ["DEBUG", "TRACE"]
                .iter()
                .any(|level| line["level"] == *level)
    });
    let talkative: Vec<_> = talkative.collect();
    assert!(
        talkative.is_empty(),
        "libraries say what they carry: {talkative:?}"
    );
    let pushed = until("the last report's line in Loki", async || {
        let pushed = loki.pushed();
        let finished = b"report finished";
        let found = pushed.windows(finished.len()).filter(|at| at == finished);
        (found.count() == 2).then_some(pushed)
    })
    .await;
    search.finds_nothing_in("what is pushed to Loki", &pushed);
    let metrics = server.metrics().await;
    assert!(metrics.contains("padron_registrations_total"), "{metrics}");
    search.finds_nothing_in("/metrics", metrics.as_bytes());

    // Both with the write-ahead log of SQLite still beside the database, and without it. The files of standard error
    // hold the code on purpose and were searched above.
    let passed_over = [SECRET_FILES.as_slice(), &["stderr-0"]].concat();
    for file in ["data/padron.db", "data/padron.db-wal", "data/padron.db-shm"] {
        assert!(home.path(file).exists(), "{file}");
    }
    let photos = search.finds_nothing_below(&home.path("data/photos/photos"), &[]);
    assert_eq!(photos, 1, "of all that was sent, one photo is kept");
    search.finds_nothing_below(&home.path("."), &passed_over);
    server.stop().await;
    search.finds_nothing_below(&home.path("."), &passed_over);
}

fn form(name: &str, city: &str, number: &str, email: &str) -> Form {
    Form::new()
        .text("name", name.to_owned())
        .text("city", city.to_owned())
        .text("document_number", number.to_owned())
        .text("email", email.to_owned())
        .part(
            "photo",
            Part::bytes(CARD).file_name("planted-file-name-Xipe.jpg"),
        )
}

async fn post(server: &Server, key: &str, form: Form) -> Response {
    let request = server.client.post(server.url("/registrations"));
    let key = header::HeaderValue::from_bytes(key.as_bytes()).unwrap();
    request
        .header("Idempotency-Key", key)
        .multipart(form)
        .send()
        .await
        .unwrap()
}

/// The status, and a body that repeats nothing of what was sent.
async fn tells_nothing(search: &Search, answer: Response, status: StatusCode) -> Vec<u8> {
    assert_eq!(answer.status(), status);
    search.finds_nothing_in("a header", format!("{:?}", answer.headers()).as_bytes());
    let body = answer.bytes().await.unwrap().to_vec();
    search.finds_nothing_in(&format!("the body of a {status}"), &body);
    body
}

/// Registers, and again.
async fn register(server: &Server, search: &Search) -> String {
    let sent = || form(NAME, "11001", NUMBER_TYPED, EMAIL);
    let created = post(server, KEY, sent()).await;
    let body = tells_nothing(search, created, StatusCode::CREATED).await;
    tells_nothing(search, post(server, KEY, sent()).await, StatusCode::OK).await;
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    body["reference"].as_str().unwrap().to_owned()
}

async fn be_refused(server: &Server, search: &Search) {
    let other = || form(BAD_CITY, "11001", NUMBER, EMAIL);
    let conflict = StatusCode::CONFLICT;
    tells_nothing(search, post(server, KEY, other()).await, conflict).await;
    tells_nothing(
        search,
        post(server, "planted-key-again", other()).await,
        conflict,
    )
    .await;

    let wrong = || form(BAD_NAME, BAD_CITY, BAD_NUMBER, BAD_EMAIL);
    let answer = post(server, BAD_KEY, wrong()).await;
    tells_nothing(search, answer, StatusCode::UNPROCESSABLE_ENTITY).await;
    // A browser gets back what was typed, and nobody else does.
    let browser = client_builder().cookie_store(true).build().unwrap();
    let request = browser.post(server.url("/registrations"));
    let request = request
        .header(header::ACCEPT, "text/html")
        .multipart(wrong());
    let page = request.send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK, "it was redirected to a page");
    let address = page.url().clone();
    let page = page.bytes().await.unwrap();
    assert!(search.find(&page).contains(BAD_NUMBER));
    let foreign = server
        .client
        .get(address)
        .header(header::ACCEPT, "text/html");
    tells_nothing(search, foreign.send().await.unwrap(), StatusCode::OK).await;

    let request = server.client.post(server.url("/registrations"));
    let foreign = request.header(header::ORIGIN, format!("http://{HEADER}.example"));
    let answer = foreign.multipart(other()).send().await.unwrap();
    tells_nothing(search, answer, StatusCode::FORBIDDEN).await;

    let unknown = other().text(PATH, MALFORMED);
    tells_nothing(
        search,
        post(server, KEY, unknown).await,
        StatusCode::BAD_REQUEST,
    )
    .await;
    let request = server.client.post(server.url("/registrations"));
    let request = request
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=cut")
        .body(part("name", MALFORMED));
    tells_nothing(
        search,
        request.send().await.unwrap(),
        StatusCode::BAD_REQUEST,
    )
    .await;
}

fn part(name: &str, value: &str) -> String {
    format!("--cut\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}")
}

/// Disconnects in the middle of an upload, and returns once the server has noticed.
async fn be_cut(server: &Server) {
    let body = part("name", HUNG_UP) + "\r\n" + &part("photo", IN_CARD[0]);
    let request = format!(
        "POST /registrations HTTP/1.1\r\nHost: {}\r\nIdempotency-Key: {KEY}\r\n\
         Content-Type: multipart/form-data; boundary=cut\r\nContent-Length: 1000000\r\n\r\n{body}",
        server.listen
    );
    let mut stream = TcpStream::connect(&server.listen).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    // Whether it still answers does not matter; the end of the stream proves that it read so far.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

/// Asks for what is not there, with planted words wherever words can stand.
async fn wander(server: &Server, search: &Search, reference: &str) {
    let not_found = StatusCode::NOT_FOUND;
    for (path, status) in [
        (format!("/{PATH}/a?name={QUERY}"), not_found),
        (format!("/registrations/{PATH}?email={QUERY}"), not_found),
        (
            format!("/registrations/{reference}?name={QUERY}"),
            StatusCode::OK,
        ),
        (format!("/cities?q={QUERY}"), StatusCode::OK),
        (format!("/chart.png?width={QUERY}"), StatusCode::BAD_REQUEST),
        (format!("/assets/{PATH}"), not_found),
        (format!("/readyz?{QUERY}"), StatusCode::OK),
    ] {
        let request = server.get(&path);
        let request = [
            "x-request-id",
            "user-agent",
            "referer",
            "cookie",
            "accept-language",
        ]
        .into_iter()
        .fold(request, |request, name| request.header(name, HEADER));
        tells_nothing(search, request.send().await.unwrap(), status).await;
    }
    let wrong = server.get("/report.csv").bearer_auth(WRONG_TOKEN).send();
    tells_nothing(search, wrong.await.unwrap(), StatusCode::UNAUTHORIZED).await;
    let nowhere = server
        .get_as_staff(&format!("/report.xlsx?city={BAD_CITY}"))
        .send();
    tells_nothing(
        search,
        nowhere.await.unwrap(),
        StatusCode::UNPROCESSABLE_ENTITY,
    )
    .await;
}

/// Signs in with a wrong token, with the code and with the token; returns the last session.
async fn sign_in(server: &Server) -> String {
    let client = client_builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let sign_in = async |token: &str| {
        let request = client.post(server.url("/staff/sign-in"));
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        request.body(format!("token={token}")).send().await.unwrap()
    };
    assert_eq!(
        sign_in(WRONG_TOKEN).await.status(),
        StatusCode::UNAUTHORIZED
    );
    let code = sign_in_code(server);
    let link = server
        .get(&format!("/staff/sign-in?code={code}"))
        .send()
        .await
        .unwrap();
    assert_eq!(link.status(), StatusCode::OK);
    assert_eq!(sign_in(&code).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(
        sign_in(&code).await.status(),
        StatusCode::UNAUTHORIZED,
        "the code is good once"
    );
    let signed_in = sign_in(&server.admin_token()).await;
    assert_eq!(signed_in.status(), StatusCode::SEE_OTHER);
    let cookie = signed_in.headers()[header::SET_COOKIE].to_str().unwrap();
    let (pair, _) = cookie.split_once(';').unwrap();
    let staff = server
        .get("/staff")
        .header(header::COOKIE, pair)
        .send()
        .await
        .unwrap();
    assert_eq!(staff.status(), StatusCode::OK);
    pair.split_once('=').unwrap().1.to_owned()
}

/// The code of the link that the first start has printed.
fn sign_in_code(server: &Server) -> String {
    let said = server.stderr();
    let (_, link) = said.split_once("?code=").unwrap();
    link.split_whitespace().next().unwrap().to_owned()
}

/// Staff see everything; it is the proof that the search would find it elsewhere.
async fn read_everything(server: &Server, search: &Search, reference: &str, clean: &[u8]) {
    let table = server.fetch("/report.csv").await;
    let found = search.find(&table);
    assert!(
        [NUMBER, EMAIL, "Quetzalcóatl"]
            .iter()
            .all(|text| found.contains(text)),
        "{found:?}"
    );
    let book = crate::report::workbook(server.fetch("/report.xlsx").await);
    assert_eq!(book.lines[reference].name, NAME);

    let photo = server
        .fetch(&format!("/registrations/{reference}/photo"))
        .await;
    assert!(photo == clean);
    assert_eq!(
        search.find(&photo).into_iter().collect::<Vec<_>>(),
        ["the photo"],
        "of the card only its picture"
    );
    let in_card = search.find(CARD);
    assert!(
        IN_CARD.iter().all(|text| in_card.contains(text)),
        "{in_card:?}"
    );
    for chart in ["/chart.png", "/chart.svg", "/totals", "/staff"] {
        search.finds_nothing_in(chart, &server.fetch(chart).await);
    }
}
