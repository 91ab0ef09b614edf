//! Pictures in characters, as wide as there is room for.

mod plot;

use crate::render::view::Picture;

/// Draws a picture in lines of at most this width, as far as its labels let it.
pub(super) fn draw(picture: &Picture, width: usize, ascii: bool) -> String {
    match picture {
        Picture::Plot(plot) => plot::draw(plot, width, ascii),
    }
}
