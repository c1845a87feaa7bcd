//! A streaming filter before multer, which normalises what multer parses wrongly.
//!
//! Passes a multipart body on with the headers of each part rewritten: limited in size, unfolded, parameter names in
//! lower case, and nothing in a quoted file name that looks like a parameter. Contents pass through untouched.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use memchr::memmem::Finder;

/// Size limit of a part's headers, and of the preamble.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// The header by which [`form`](super::form) learns the charset of a part.
pub(super) const CHARSET: &str = "x-charset";

/// Bytes that are passed on before yielding to the runtime. multer buffers until its source is pending, before it hands
/// anything on.
const AT_ONCE: usize = 64 * 1024;

/// Why a body cannot be parsed as a form.
#[derive(Debug, thiserror::Error)]
pub(super) enum PartsError {
    /// It is not well-formed, or ended early.
    #[error("the multipart body is malformed or ended early")]
    Malformed,
    /// The headers of a part, or the preamble, exceed their size limit.
    #[error("the head of a part is too long")]
    LongHead,
    /// The body exceeds its size limit.
    #[error("the body is too long")]
    LongBody,
    /// No field of the form can have the name of this part.
    #[error("the name of a part is unknown")]
    Unknown,
}

/// The boundary in a `Content-Type` of `multipart/form-data`.
pub(super) fn boundary(content_type: &[u8]) -> Option<Vec<u8>> {
    let (media_type, parameters) = parameters(content_type)?;
    let mut boundaries = parameters
        .into_iter()
        .filter(|(name, _)| name == b"boundary");
    let (_, boundary) = boundaries.next()?;
    let right = media_type == b"multipart/form-data"
        && boundaries.next().is_none()
        && (1..=200).contains(&boundary.len())
        && boundary.iter().all(|byte| matches!(byte, b' '..=b'~'));
    right.then_some(boundary)
}

/// A multipart body with its part headers rewritten: a state machine over the incoming chunks.
pub(super) struct Parts<S> {
    body: S,
    finder: Finder<'static>,
    place: Place,
    /// Input that is buffered and not parsed yet.
    rest: Bytes,
    ready: VecDeque<Bytes>,
    /// Bytes that are left of the body's size limit.
    left: u64,
    /// Bytes passed on since the last yield.
    passed: usize,
}

enum Place {
    /// Before the first delimiter; so many bytes of it were skipped.
    Preamble(usize),
    /// In the headers of a part, with what came of them; whether it is the first part.
    Head(Vec<u8>, bool),
    Content,
    /// After the closing delimiter: drained and dropped, so that the connection can be kept alive.
    Epilogue,
    End,
}

impl<S> Parts<S> {
    /// Filters a body with a size limit of `bytes`.
    pub(super) fn new(body: S, boundary: &[u8], bytes: u64) -> Self {
        let delimiter = [b"\r\n--", boundary].concat();
        Self {
            body,
            finder: Finder::new(&delimiter).into_owned(),
            place: Place::Preamble(0),
            // The first delimiter may be the first line, without the line break that is a part of all others.
            rest: Bytes::from_static(b"\r\n"),
            ready: VecDeque::new(),
            left: bytes,
            passed: 0,
        }
    }

    /// One transition on the buffered input. Returns whether it needs more of it.
    fn step(&mut self) -> Result<bool, PartsError> {
        match &mut self.place {
            Place::Preamble(passed) => {
                let (before, delimited) = upto(&mut self.rest, &self.finder);
                *passed += before.len();
                if *passed > MAX_HEAD_BYTES {
                    return Err(PartsError::LongHead);
                }
                if delimited {
                    self.place = Place::Head(Vec::new(), true);
                }
                Ok(!delimited)
            }
            Place::Content => {
                let (content, delimited) = upto(&mut self.rest, &self.finder);
                if !content.is_empty() {
                    self.ready.push_back(content);
                }
                if delimited {
                    self.place = Place::Head(Vec::new(), false);
                }
                Ok(!delimited)
            }
            Place::Head(head, first) => {
                let before = head.len();
                let came = self.rest.len().min(MAX_HEAD_BYTES + 4 - before);
                head.extend_from_slice(&self.rest[..came]);
                if head.starts_with(b"--") {
                    self.place = Place::Epilogue;
                    return Ok(false);
                }
                // Never scanned twice: the headers may come byte by byte, which would take quadratic time.
                let looked_at = before.saturating_sub(3);
                let end = memchr::memmem::find(&head[looked_at..], b"\r\n\r\n");
                let Some(end) = end.map(|end| looked_at + end) else {
                    self.rest = self.rest.slice(came..);
                    return if head.len() > MAX_HEAD_BYTES {
                        Err(PartsError::LongHead)
                    } else {
                        Ok(true)
                    };
                };
                self.rest = self.rest.slice(end + 4 - before..);
                let anew = anew(&head[..end])?;
                let delimiter = self.finder.needle();
                let delimiter = if *first { &delimiter[2..] } else { delimiter };
                let anew = [delimiter, b"\r\n", &anew, b"\r\n\r\n"].concat();
                self.ready.push_back(anew.into());
                self.place = Place::Content;
                Ok(false)
            }
            Place::Epilogue => {
                self.rest.clear();
                Ok(true)
            }
            Place::End => Ok(false),
        }
    }
}

/// Splits off what precedes the delimiter, and says whether that was found and consumed. A tail that may be the
/// beginning of a delimiter stays buffered.
fn upto(rest: &mut Bytes, finder: &Finder<'_>) -> (Bytes, bool) {
    let delimiter = finder.needle();
    if let Some(at) = finder.find(rest) {
        let before = rest.split_to(at);
        let _ = rest.split_to(delimiter.len());
        return (before, true);
    }
    let most = rest.len().min(delimiter.len() - 1);
    let kept = (1..=most)
        .rev()
        .find(|&kept| rest.ends_with(&delimiter[..kept]));
    let before = rest.split_to(rest.len() - kept.unwrap_or(0));
    (before, false)
}

/// Rewrites a part's headers to nothing but the name, whether there is a file, and the charset.
fn anew(head: &[u8]) -> Result<Vec<u8>, PartsError> {
    let (mut name, mut has_file, mut is_named, mut charset) = (None, false, false, None);
    for line in lines(head)? {
        let mut halves = line.splitn(2, |&byte| byte == b':');
        let (header, Some(value)) = (halves.next().unwrap_or_default(), halves.next()) else {
            return Err(PartsError::Malformed);
        };
        match header.trim_ascii().to_ascii_lowercase().as_slice() {
            b"content-disposition" => {
                let (kind, parameters) = parameters(value).ok_or(PartsError::Malformed)?;
                if kind != b"form-data" || name.is_some() {
                    return Err(PartsError::Malformed);
                }
                for (parameter, value) in parameters {
                    match parameter.as_slice() {
                        b"name" if name.is_none() => name = Some(value),
                        b"name" => return Err(PartsError::Malformed),
                        b"filename" | b"filename*" => {
                            has_file = true;
                            is_named |= !value.is_empty();
                        }
                        _ => {}
                    }
                }
            }
            b"content-type" => {
                let (_, parameters) = parameters(value).ok_or(PartsError::Malformed)?;
                let label = parameters.into_iter().find(|(name, _)| name == b"charset");
                charset = label.map(|(_, label)| label).or(charset);
            }
            b"content-transfer-encoding" => {
                let value = value.trim_ascii().to_ascii_lowercase();
                if !matches!(value.as_slice(), b"7bit" | b"8bit" | b"binary") {
                    return Err(PartsError::Malformed);
                }
            }
            _ => {}
        }
    }
    let name = name.ok_or(PartsError::Malformed)?;
    let is_word = |text: &[u8]| {
        text.iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || b"-_.:+".contains(&byte))
    };
    if !is_word(&name) {
        return Err(PartsError::Unknown);
    }
    let file: &[u8] = match (has_file, is_named) {
        (true, true) => b"; filename=\"file\"",
        (true, false) => b"; filename=\"\"",
        (false, _) => b"",
    };
    let mut anew = [
        b"content-disposition: form-data; name=\"",
        name.as_slice(),
        b"\"",
        file,
    ]
    .concat();
    if let Some(charset) = charset {
        let known = is_word(&charset) && !charset.is_empty();
        let charset: &[u8] = if known { &charset } else { b"unknown" };
        anew.extend([b"\r\n", CHARSET.as_bytes(), b": ", charset].concat());
    }
    Ok(anew)
}

/// The header lines of a part, unfolded (RFC 5322, 2.2.3).
fn lines(head: &[u8]) -> Result<Vec<Vec<u8>>, PartsError> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut rest = head;
    let mut first = true;
    loop {
        let end = memchr::memmem::find(rest, b"\r\n");
        let line = &rest[..end.unwrap_or(rest.len())];
        if line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(PartsError::Malformed);
        }
        if first {
            // The rest of the delimiter's own line may be white space only (transport padding, RFC 2046, 5.1.1).
            if !line.trim_ascii().is_empty() {
                return Err(PartsError::Malformed);
            }
        } else if line.starts_with(b" ") || line.starts_with(b"\t") {
            lines.last_mut().ok_or(PartsError::Malformed)?.extend(line);
        } else if !line.is_empty() {
            lines.push(line.to_vec());
        }
        first = false;
        match end {
            Some(end) => rest = &rest[end + 2..],
            None => return Ok(lines),
        }
    }
}

/// Parses a header value and its parameters, names in lower case: `form-data; name="x"`. `None` when a quote is not
/// closed.
#[expect(
    clippy::type_complexity,
    reason = "a value, and its parameters by name"
)]
fn parameters(text: &[u8]) -> Option<(Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>)> {
    let until = |text: &[u8], stops: &[u8]| {
        let at = text.iter().position(|byte| stops.contains(byte));
        at.unwrap_or(text.len())
    };
    let (value, mut rest) = text.split_at(until(text, b";"));
    let value = value.trim_ascii().to_ascii_lowercase();
    let mut parameters = Vec::new();
    while let Some(behind) = rest.strip_prefix(b";") {
        let (name, behind) = behind.split_at(until(behind, b"=;"));
        let name = name.trim_ascii().to_ascii_lowercase();
        let Some(behind) = behind.strip_prefix(b"=") else {
            rest = behind;
            continue;
        };
        let behind = behind.trim_ascii_start();
        let Some(mut quoted) = behind.strip_prefix(b"\"") else {
            let (word, behind) = behind.split_at(until(behind, b";"));
            parameters.push((name, word.trim_ascii().to_vec()));
            rest = behind;
            continue;
        };
        let mut inside = Vec::new();
        loop {
            match quoted {
                [b'"', behind @ ..] => {
                    rest = &behind[until(behind, b";")..];
                    break;
                }
                // Any other backslash is literal, as in the Windows paths that old browsers send unescaped.
                [b'\\', escaped @ (b'"' | b'\\'), behind @ ..] => {
                    inside.push(*escaped);
                    quoted = behind;
                }
                [byte, behind @ ..] => {
                    inside.push(*byte);
                    quoted = behind;
                }
                [] => return None,
            }
        }
        parameters.push((name, inside));
    }
    Some((value, parameters))
}

impl<S, E> Stream for Parts<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.passed >= AT_ONCE {
                this.passed = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(ready) = this.ready.pop_front() {
                this.passed += ready.len();
                return Poll::Ready(Some(Ok(ready)));
            }
            if matches!(this.place, Place::End) {
                return Poll::Ready(None);
            }
            if !this.step()? || !this.ready.is_empty() {
                continue;
            }
            let next = this.body.poll_next_unpin(cx);
            if next.is_pending() {
                this.passed = 0;
            }
            match ready!(next) {
                Some(chunk) => {
                    let chunk = chunk.map_err(Into::into)?;
                    let bytes = chunk.len() as u64;
                    this.left = this.left.checked_sub(bytes).ok_or(PartsError::LongBody)?;
                    this.rest = if this.rest.is_empty() {
                        chunk
                    } else {
                        [&this.rest[..], &chunk[..]].concat().into()
                    };
                }
                None if matches!(this.place, Place::Epilogue) => {
                    let last = [this.finder.needle(), b"--\r\n"].concat();
                    this.ready.push_back(last.into());
                    this.place = Place::End;
                }
                None => return Poll::Ready(Some(Err(PartsError::Malformed.into()))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, TryStreamExt as _, stream};

    use super::*;

    type Failure = Box<dyn std::error::Error + Send + Sync>;

    fn passed_on(body: &[u8], step: usize) -> Result<String, Failure> {
        let chunks: Vec<Result<Bytes, Failure>> = body
            .chunks(step)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect();
        let parts = Parts::new(stream::iter(chunks), b"X", 1 << 20);
        let passed: Vec<Bytes> = parts.try_collect().now_or_never().unwrap()?;
        Ok(String::from_utf8(passed.concat()).unwrap())
    }

    #[test]
    fn a_head_is_written_anew_whatever_the_pieces() {
        let body = b"preamble\r\n--X \t\r\nCONTENT-disposition: Form-Data;\r\n\tfilename=\"x; name=city; \\\".jpg\"; NAME=photo\r\n\r\n\r\n-\r\n--\r\n--X\r\ncontent-disposition: form-data; name=\"name\"\r\nContent-Type: text/plain; Charset=\"iso-8859-1\"\r\n\r\nAna\r\n--X--\r\nepilogue";
        let expected = "--X\r\ncontent-disposition: form-data; name=\"photo\"; filename=\"file\"\r\n\r\n\r\n-\r\n--\r\n--X\r\ncontent-disposition: form-data; name=\"name\"\r\nx-charset: iso-8859-1\r\n\r\nAna\r\n--X--\r\n";
        for step in 1..=body.len() {
            assert_eq!(passed_on(body, step).unwrap(), expected, "{step}");
        }
    }

    #[test]
    fn a_head_or_preamble_without_end_is_refused_at_its_bound() {
        for start in ["--X\r\nx: ", "preamble"] {
            let mut body = start.as_bytes().to_vec();
            body.resize(MAX_HEAD_BYTES + 100, b'a');
            for step in [1, 7, body.len()] {
                let chunks = body
                    .chunks(step)
                    .map(Bytes::copy_from_slice)
                    .map(Ok::<_, Failure>);
                // It never ends: the refusal must not wait for more.
                let endless = stream::iter(chunks).chain(stream::pending());
                let parts = Parts::new(endless, b"X", 1 << 20);
                let refused = parts.try_collect::<Vec<_>>().now_or_never().unwrap();
                let refused = refused.unwrap_err().downcast::<PartsError>().unwrap();
                assert!(matches!(*refused, PartsError::LongHead), "{start} {step}");
            }
        }
    }

    #[test]
    fn what_is_no_form_is_malformed() {
        for body in [
            "",
            "--X",
            "--Xy\r\n\r\n",
            "--X\r\n\r\nno head\r\n--X--",
            "--X\r\nContent-Disposition: form-data; name=\"name\r\n\r\n\r\n--X--",
            "--X\r\nContent-Disposition: attachment; name=name\r\n\r\n\r\n--X--",
            "--X\r\nContent-Disposition: form-data; name=name; name=city\r\n\r\n\r\n--X--",
            "--X\nContent-Disposition: form-data; name=name\n\n\n--X--",
            "--X\r\nContent-Disposition: form-data; name=name\r\nContent-Transfer-Encoding: base64\r\n\r\nQQ==\r\n--X--",
        ] {
            assert!(passed_on(body.as_bytes(), 3).is_err(), "{body}");
        }
    }

    #[test]
    fn a_boundary_is_found_however_it_is_written() {
        for (content_type, expected) in [
            ("multipart/form-data; boundary=X", Some("X")),
            ("Multipart/Form-Data;\tBOUNDARY=\"X y\"", Some("X y")),
            (
                "multipart/form-data; charset=utf-8; boundary=----=_Part_1/2:3",
                Some("----=_Part_1/2:3"),
            ),
            ("multipart/form-data; boundary=a; boundary=b", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data", None),
            ("multipart/mixed; boundary=X", None),
            ("text/plain; boundary=X", None),
        ] {
            let found = boundary(content_type.as_bytes());
            assert_eq!(
                found.as_deref(),
                expected.map(str::as_bytes),
                "{content_type}"
            );
        }
    }
}
