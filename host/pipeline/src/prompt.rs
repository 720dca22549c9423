//! From a task's segments to tokens, and which tokens are code.

use std::ops::Range;
use std::sync::Arc;

use transducer_backbone::Embedder;
use transducer_backbone::chat::{ChatError, PromptPiece};
use transducer_backbone::tokenizer::TokenizerError;
use transducer_core::CodeSegment;
use transducer_tasks::{ParsedCode, Prepared, Segment};

/// A prompt as token ids.
#[derive(Debug)]
pub struct Prompt {
    /// Every token, the chat template's included.
    pub ids: Vec<u32>,
    /// Where code stands in it.
    pub codes: Vec<Code>,
    /// Runs of the tokens that are not code, the chat template's among them: of these the transducer may rewrite the first
    /// and the last. The very first token of a prompt is none of them: LLMs use it to put attention where it does not
    /// matter (Xiao et al., arXiv 2309.17453), whatever it says.
    pub text: Vec<Range<usize>>,
}

impl Prompt {
    /// Its code, as a transducer takes it.
    pub fn segments(&self) -> Vec<CodeSegment<'_>> {
        let segments = self.codes.iter().map(|code| CodeSegment {
            tokens: code.tokens.clone(),
            offsets: &code.offsets,
            graph: &code.parsed.cpg,
        });
        segments.collect()
    }
}

/// One piece of code in a prompt.
#[derive(Debug)]
pub struct Code {
    /// Its tokens.
    pub tokens: Range<usize>,
    /// Where each of them lies in the source, in bytes.
    pub offsets: Vec<(u32, u32)>,
    /// Source and graph.
    pub parsed: Arc<ParsedCode>,
}

/// A prompt that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// The chat template refuses it.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// The tokenizer does.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// Puts the segments into the model's chat template and tokenizes the whole, so that the tokens are those that the model
/// was trained on. Nothing that a user or a task wrote becomes a special token.
pub(crate) fn assemble(embedder: &Embedder, prepared: &Prepared) -> Result<Prompt, PromptError> {
    let tokenizer = embedder.tokenizer();
    let frame = embedder.chat().split(prepared.system.as_deref())?;
    let mut pieces = frame.before;
    let first = pieces.len();
    pieces.extend(
        prepared
            .segments
            .iter()
            .map(|segment| PromptPiece::Content(segment.text().to_owned())),
    );
    pieces.extend(frame.after);
    pieces.extend(prepared.reply_start.clone().map(PromptPiece::Content));
    let encoding = tokenizer.encode_pieces(&pieces)?;

    // A model without a template gets its special tokens here; a template writes them itself.
    let (bos, end) = if embedder.chat().is_plain() {
        embedder.around_prompt()
    } else {
        (None, None)
    };
    let shift = usize::from(bos.is_some());
    let tokens_in = |bytes: &Range<usize>| {
        let tokens = tokens_in(&encoding.offsets, bytes);
        (tokens.start + shift..tokens.end + shift, tokens)
    };
    let mut codes = Vec::new();
    let mut start = pieces[..first].iter().map(|piece| text(piece).len()).sum();
    for segment in &prepared.segments {
        let bytes: Range<usize> = start..start + segment.text().len();
        start = bytes.end;
        match segment {
            Segment::Code(parsed) => {
                let (tokens, range) = tokens_in(&bytes);
                let offsets = encoding.offsets[range]
                    .iter()
                    .map(|&token| within(token, &bytes))
                    .collect();
                codes.push(Code {
                    tokens,
                    offsets,
                    parsed: parsed.clone(),
                });
            }
            Segment::Text(_) => {}
        }
    }
    let ids: Vec<u32> = bos.into_iter().chain(encoding.ids).chain(end).collect();
    let text = between(codes.iter().map(|code| &code.tokens), 1..ids.len());
    Ok(Prompt { ids, codes, text })
}

/// The runs of `whole` that lie between `ranges`, which follow one another. Some may be empty.
fn between<'a>(ranges: impl Iterator<Item = &'a Range<usize>>, whole: Range<usize>) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = whole.start;
    for range in ranges {
        runs.push(start..range.start.max(start));
        start = range.end.max(start);
    }
    runs.push(start..whole.end.max(start));
    runs
}

fn text(piece: &PromptPiece) -> &str {
    match piece {
        PromptPiece::Template(text) | PromptPiece::Content(text) => text,
    }
}

/// The tokens whose middle lies in a range of bytes. A token may reach across the border of a segment (the space at the
/// end of an instruction with the word that the code begins with); it then belongs to the segment of its middle.
fn tokens_in(offsets: &[(u32, u32)], bytes: &Range<usize>) -> Range<usize> {
    let middle = |&(start, end): &(u32, u32)| (start as usize + end as usize) / 2;
    let first = offsets.partition_point(|token| middle(token) < bytes.start);
    first..offsets.partition_point(|token| middle(token) < bytes.end)
}

/// A token's bytes counted from the start of its segment, and no further than that goes.
fn within((start, end): (u32, u32), bytes: &Range<usize>) -> (u32, u32) {
    let place = |offset: u32| ((offset as usize).clamp(bytes.start, bytes.end) - bytes.start) as u32;
    (place(start), place(end))
}

#[cfg(test)]
mod tests {
    use super::{between, tokens_in, within};

    #[test]
    fn what_is_not_code_is_text() {
        assert_eq!(between([3..5, 5..7].iter(), 1..9), [1..3, 5..5, 7..9]);
        assert_eq!(between(std::iter::once(&(0..4)), 1..4), [1..1, 4..4]);
        assert_eq!(between(std::iter::empty(), 1..4).first(), Some(&(1..4)));
    }

    #[test]
    fn a_token_across_a_border_belongs_where_its_middle_is() {
        // "ab" | " cd" | "e", the second segment from byte 3 on.
        let offsets = [(0, 2), (2, 5), (5, 6)];
        assert_eq!(tokens_in(&offsets, &(0..3)), 0..1);
        assert_eq!(tokens_in(&offsets, &(3..6)), 1..3);
        assert_eq!(within(offsets[1], &(3..6)), (0, 2));
    }

    #[test]
    fn segments_share_out_all_tokens() {
        let offsets = [(0, 1), (1, 4), (4, 4), (4, 9), (4, 9), (9, 12)];
        for border in 0..=12 {
            let (left, right) = (tokens_in(&offsets, &(0..border)), tokens_in(&offsets, &(border..13)));
            assert_eq!(
                (left.start, left.end, right.end),
                (0, right.start, offsets.len()),
                "border {border}"
            );
        }
    }
}
