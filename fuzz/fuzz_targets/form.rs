//! Feeds the form reader any body, in pieces of any size: it must not panic, must give its budget
//! back, and must accept nothing that breaks a bound.

#![no_main]

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use padron::{
    domain::photo::MAX_BYTES,
    http::{
        form::{MAX_TEXT_BYTES, ReadForm, read},
        memory::UploadMemory,
    },
};
use tokio::runtime::Runtime;

/// One for all inputs: the reader's deadline needs its clock.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().expect("a runtime")
    })
}

const BUDGET: usize = 1 << 20;

fuzz_target!(|input: (u8, &[u8])| {
    let (step, body) = input;
    let pieces: Vec<Result<Bytes, std::io::Error>> = body
        .chunks(usize::from(step).max(1))
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let budget = UploadMemory::new(BUDGET);
    let held = Arc::new(budget.begin(None, None).expect("the first upload"));
    let stream = futures::stream::iter(pieces);
    let mut into = ReadForm::default();
    let content_type = b"multipart/form-data; boundary=X";
    let reading = read(content_type, None, stream, held, &mut into);
    if runtime().block_on(reading).is_ok() {
        let read = &into;
        for text in [
            &read.form.name,
            &read.form.city,
            &read.form.document_type,
            &read.form.document_number,
            &read.form.email,
            &read.form.idempotency_key,
        ] {
            if let Some(Ok(text)) = text {
                assert!(text.len() as u64 <= MAX_TEXT_BYTES);
            }
        }
        if let Some(Ok(photo)) = &read.photo {
            assert!(photo.len() <= MAX_BYTES);
        }
    }
    drop(into);
    assert_eq!(budget.available(), BUDGET, "what was taken is given back");
});
