//! The few sizes that a picture has: a request gets the nearest of them, which bounds the cache keys that strangers
//! can make to hundreds, not millions.

/// Widths, in pixels.
const WIDTHS: [u16; 4] = [320, 640, 1000, 2000];
/// Heights, in pixels.
const HEIGHTS: [u16; 5] = [240, 400, 600, 1200, 2000];
/// Bars, at most.
const TOPS: [u16; 5] = [3, 5, 10, 20, 50];

/// Width and height of a picture in pixels, and how many bars it has at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) top: u16,
}

impl Default for Geometry {
    /// 1000 × 600 pixels, 20 bars.
    fn default() -> Self {
        Self {
            width: 1000,
            height: 600,
            top: 20,
        }
    }
}

impl Geometry {
    /// The nearest to what is asked for: 320, 640, 1000 or 2000 pixels wide, 240, 400, 600, 1200 or 2000 high, with 3,
    /// 5, 10, 20 or 50 bars. What is left out is as in [`Geometry::default`]. Of two that are as near it is the smaller.
    ///
    /// # Errors
    /// Names what is out of bounds, and its bounds: `width` is from 320 to 2000, `height` from 240 to 2000, `top` from
    /// 1 to 50.
    pub fn nearest(
        width: Option<u32>,
        height: Option<u32>,
        top: Option<u32>,
    ) -> Result<Self, OutOfBounds> {
        let default = Self::default();
        Ok(Self {
            width: nearest("width", width, 320, &WIDTHS, default.width)?,
            height: nearest("height", height, 240, &HEIGHTS, default.height)?,
            top: nearest("top", top, 1, &TOPS, default.top)?,
        })
    }

    /// The nearest of the six that charts of a department and of days have: 320, 640 or 1000 pixels wide, 240 or 600
    /// high, 20 bars. They are fewer because there are so many departments, and days are drawn anew so often.
    #[must_use]
    pub fn plain(self) -> Self {
        Self {
            width: self.width.min(1000),
            height: if self.height < 420 { 240 } else { 600 },
            top: Self::default().top,
        }
    }

    /// Every geometry that there is: 100.
    pub fn all() -> impl Iterator<Item = Self> {
        let sizes = WIDTHS
            .into_iter()
            .flat_map(|width| HEIGHTS.map(|height| (width, height)));
        sizes.flat_map(|(width, height)| TOPS.map(|top| Self { width, height, top }))
    }

    pub(super) fn sides(self) -> (u32, u32) {
        (self.width.into(), self.height.into())
    }
}

fn nearest(
    field: &'static str,
    asked: Option<u32>,
    min: u16,
    offered: &[u16],
    default: u16,
) -> Result<u16, OutOfBounds> {
    let max = offered.iter().copied().max().unwrap_or(default);
    match asked.map(u16::try_from) {
        None => Ok(default),
        Some(Ok(asked)) if (min..=max).contains(&asked) => {
            let nearest = offered.iter().min_by_key(|one| one.abs_diff(asked));
            Ok(nearest.copied().unwrap_or(default))
        }
        Some(_) => Err(OutOfBounds { field, min, max }),
    }
}

/// A part of a geometry is out of bounds.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be between {min} and {max}")]
pub struct OutOfBounds {
    /// `width`, `height` or `top`.
    pub field: &'static str,
    /// The least that may be asked for: pixels, or bars.
    pub min: u16,
    /// The most.
    pub max: u16,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn whatever_is_asked_for_there_are_a_hundred_geometries() {
        let mut seen = HashSet::new();
        for width in (320..=2000).step_by(30) {
            for height in (240..=2000).step_by(40) {
                for top in 1..=50 {
                    seen.insert(Geometry::nearest(Some(width), Some(height), Some(top)).unwrap());
                }
            }
        }
        assert_eq!(seen, Geometry::all().collect());
        assert_eq!(seen.len(), 100);
    }

    #[test]
    fn the_nearest_is_given_and_what_is_left_out_is_the_default() {
        let default = Geometry::default();
        assert!(Geometry::all().any(|one| one == default));
        for (asked, given) in [
            ((None, None, None), (1000, 600, 20)),
            ((Some(1000), Some(600), Some(20)), (1000, 600, 20)),
            ((Some(999), Some(601), Some(16)), (1000, 600, 20)),
            ((Some(320), Some(240), Some(1)), (320, 240, 3)),
            ((Some(2000), Some(2000), Some(50)), (2000, 2000, 50)),
            ((Some(480), Some(500), Some(4)), (320, 400, 3)),
            ((Some(481), Some(501), Some(36)), (640, 600, 50)),
        ] {
            let (width, height, top) = asked;
            let nearest = Geometry::nearest(width, height, top).unwrap();
            assert_eq!((nearest.width, nearest.height, nearest.top), given);
        }
    }

    #[test]
    fn there_are_six_plain_ones() {
        let plain: HashSet<_> = Geometry::all().map(Geometry::plain).collect();
        assert_eq!(plain.len(), 6);
        assert_eq!(Geometry::default().plain(), Geometry::default());
        assert!(plain.iter().all(|one| one.plain() == *one));
    }

    #[test]
    fn what_is_out_of_bounds_is_named_with_its_bounds() {
        for (width, height, top, field) in [
            (319, 600, 20, "width"),
            (2001, 600, 20, "width"),
            (70_000, 600, 20, "width"),
            (800, 239, 20, "height"),
            (800, 2001, 20, "height"),
            (800, 600, 0, "top"),
            (800, 600, 51, "top"),
            (800, 600, u32::MAX, "top"),
        ] {
            let error = Geometry::nearest(Some(width), Some(height), Some(top)).unwrap_err();
            assert_eq!(error.field, field);
        }
        let error = Geometry::nearest(None, Some(0), None).unwrap_err();
        assert_eq!(error.to_string(), "height must be between 240 and 2000");
    }
}
