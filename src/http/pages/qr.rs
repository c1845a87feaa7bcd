//! The QR code of an address, for a receipt that is kept on paper or photographed.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

/// The quiet zone around a code, in modules, as the standard asks.
const QUIET: usize = 4;

/// A code as an SVG path of one unit a module.
#[derive(Debug)]
pub(super) struct Code {
    /// Width and height, its quiet zone included.
    pub(super) side: usize,
    /// `d` of the path: one rectangle for each run of dark modules.
    pub(super) path: String,
}

/// The code of `address`; `None` when that is longer than a code can hold.
pub(super) fn path(address: &str) -> Option<Code> {
    let code = QrCode::with_error_correction_level(address, EcLevel::M).ok()?;
    let width = code.width();
    let colors = code.to_colors();
    let mut path = String::new();
    for (y, row) in colors.chunks(width).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|one, next| one == next) {
            if run[0] == Color::Dark {
                let n = run.len();
                // A string takes whatever is written.
                let _ = write!(path, "M{},{}h{n}v1h-{n}z", x + QUIET, y + QUIET);
            }
            x += run.len();
        }
    }
    Some(Code {
        side: width + 2 * QUIET,
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dark_module_is_drawn_once_and_no_light_one() {
        let address = "https://padron.example/registrations/K7QM-3XPD";
        let code = path(address).unwrap();
        let expected = QrCode::with_error_correction_level(address, EcLevel::M).unwrap();
        let (width, colors) = (expected.width(), expected.to_colors());
        assert_eq!(code.side, width + 8);
        let mut drawn = vec![Color::Light; colors.len()];
        for run in code.path.split('M').skip(1) {
            let (x, rest) = run.split_once(',').unwrap();
            let (y, rest) = rest.split_once('h').unwrap();
            let (n, _) = rest.split_once('v').unwrap();
            let [x, y, n]: [usize; 3] = [x, y, n].map(|number| number.parse().unwrap());
            for at in x - QUIET..x - QUIET + n {
                let module = &mut drawn[(y - QUIET) * width + at];
                assert_eq!(*module, Color::Light, "twice");
                *module = Color::Dark;
            }
        }
        assert!(drawn == colors);
        assert!(path(&"x".repeat(3000)).is_none());
    }
}
