//! The body of a request: JSON, with the embeddings in base64 as its last field.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use base64_simd::STANDARD;
use crc32fast::Hasher;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tch::{Device, Kind, Tensor};

use crate::wire::{Layout, WireError};

/// Bytes of the tensor that are encoded at a time: whole groups of base64, and with what they become (64 KiB) in the nearest cache
/// while they are summed, encoded and sent.
const PIECE: usize = 48 << 10;

/// Ends the string and the object.
const CLOSE: &[u8] = b"\"}";

/// A body that encodes a tensor piece by piece as the connection takes it: the tensor's own memory is read, and nothing but the piece
/// on its way is ever held in base64.
#[derive(Debug)]
pub struct PromptBody {
    /// JSON up to the embeddings; taken with the first piece.
    open: Vec<u8>,
    layout: Layout,
    /// `[tokens, hidden]`, contiguous, in this computer's memory.
    tensor: Tensor,
    crc: Hasher,
    stage: Stage,
    /// Bytes that are still to come.
    left: u64,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Head,
    /// From this byte of the tensor on.
    Data(usize),
    Done,
}

impl PromptBody {
    /// `fields` and, behind them, `prompt_embeds`. `fields` is a JSON object with at least one field, `tensor` is `[tokens, hidden]`.
    ///
    /// # Errors
    /// [`WireError`] where embeddings of this kind or size have no form on the wire.
    pub fn new(fields: &str, tensor: &Tensor) -> Result<Self, WireError> {
        let (tokens, hidden) = match tensor.size()[..] {
            [tokens, hidden] => (tokens as usize, hidden as usize),
            _ => (0, 0),
        };
        let layout = Layout::new(tensor.kind(), tokens, hidden)?;
        let open = format!("{},\"prompt_embeds\":\"", fields.trim_end().trim_end_matches('}'));
        let encoded = STANDARD.encoded_length(layout.bytes());
        Ok(Self {
            left: (open.len() + encoded + CLOSE.len()) as u64,
            open: open.into_bytes(),
            layout,
            // Both give the tensor itself where it is so already.
            tensor: tensor.to_device(Device::Cpu).contiguous(),
            crc: Hasher::new(),
            stage: Stage::Head,
        })
    }

    /// The length of the file in it, before its base64.
    pub fn file_bytes(&self) -> usize {
        self.layout.bytes()
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        match self.stage {
            Stage::Head => {
                self.stage = Stage::Data(0);
                let mut piece = std::mem::take(&mut self.open);
                STANDARD.encode_append(self.layout.head(), &mut piece);
                Some(piece)
            }
            Stage::Data(from) => {
                let data = bytes(&self.tensor);
                // Whole groups; what is left over is encoded with the tail.
                let to = (from + PIECE).min(data.len() - data.len() % 3);
                if from < to {
                    self.stage = Stage::Data(to);
                    let data = &data[from..to];
                    self.crc.update(data);
                    let mut piece = Vec::with_capacity(STANDARD.encoded_length(data.len()));
                    STANDARD.encode_append(data, &mut piece);
                    return Some(piece);
                }
                self.stage = Stage::Done;
                let mut rest = data[from..].to_vec();
                self.crc.update(&rest);
                rest.extend(self.layout.tail(self.crc.clone().finalize()));
                let mut piece = Vec::with_capacity(STANDARD.encoded_length(rest.len()) + CLOSE.len());
                STANDARD.encode_append(&rest, &mut piece);
                piece.extend(CLOSE);
                Some(piece)
            }
            Stage::Done => None,
        }
    }
}

impl Body for PromptBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let body = self.get_mut();
        Poll::Ready(body.next().map(|piece| {
            body.left -= piece.len() as u64;
            Ok(Frame::data(piece.into()))
        }))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The memory of a contiguous tensor on the CPU.
fn bytes(tensor: &Tensor) -> &[u8] {
    let size = match tensor.kind() {
        Kind::Float => 4,
        // The layout has refused any other kind but these two.
        _ => 2,
    };
    // SAFETY: `PromptBody::new` made the tensor contiguous and put it on the CPU, so that its numbers, of `size` bytes or more each,
    // lie one behind the other from `data_ptr` on. They live as long as the tensor, which is borrowed, and nobody writes to them:
    // the embeddings of a prompt are finished before they become a request.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<u8>(), tensor.numel() * size) }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    /// Everything at once is what comes piece by piece, for every remainder of a group and for several pieces.
    #[test]
    fn the_pieces_are_one_object() {
        for (tokens, hidden) in [(1, 1), (1, 2), (2, 3), (7, 5000), (16, 1536)] {
            let tensor = Tensor::arange(tokens * hidden, (Kind::Float, Device::Cpu))
                .view([tokens, hidden])
                .to_kind(Kind::BFloat16);
            let body = PromptBody::new("{\"model\":\"m\"}", &tensor).expect("it has a form");
            let said = body.size_hint().exact();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime");
            let whole = runtime.block_on(body.collect()).expect("it cannot fail").to_bytes();
            assert_eq!(said, Some(whole.len() as u64));
            let value: serde_json::Value = serde_json::from_slice(&whole).expect("JSON");
            assert_eq!(value["model"], "m");
            let file = STANDARD
                .decode_to_vec(value["prompt_embeds"].as_str().expect("a string"))
                .expect("base64");
            let layout = Layout::new(Kind::BFloat16, tokens as usize, hidden as usize).expect("it has a form");
            let data = bytes(&tensor);
            assert_eq!(
                file,
                [layout.head(), data, &layout.tail(crc32fast::hash(data))].concat(),
                "[{tokens}, {hidden}]"
            );
        }
    }

    /// A view of a larger tensor is sent as what it shows.
    #[test]
    fn a_view_is_sent_as_it_is_seen() {
        let wide = Tensor::from_slice(&[1f32, 2., 3., 4.]).view([2, 2]);
        let body = PromptBody::new("{\"a\":1}", &wide.tr()).expect("it has a form");
        let expected: Vec<u8> = [1f32, 3., 2., 4.]
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        assert_eq!(bytes(&body.tensor), expected);
    }
}
