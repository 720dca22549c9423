//! Whether an endpoint is what it should be.

use http_body_util::{Either, Full};
use transducer_backbone::Embedder;

use crate::ask::{Ask, Models, Piece, message};
use crate::client::{Client, whole};
use crate::{Address, EndpointError, PromptBody};

/// What every model goes on with in the same way, and by a wide margin: another batch or another order of sums does not change it, and
/// embeddings of another table do.
const PROMPT: &str = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,";

/// Tokens that are compared.
const TOKENS: usize = 8;

/// What an endpoint serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) id: String,
    /// Longest prompt and answer together, in tokens.
    pub(crate) context: Option<usize>,
}

/// Asks an endpoint for its models, and for what follows a fixed prompt: as token ids, and as this host's embeddings of them. Both have
/// to be the same, or the table is another model's.
pub(crate) async fn probe(
    client: &Client,
    address: &Address,
    wanted: Option<&str>,
    embedder: &Embedder,
) -> Result<Served, EndpointError> {
    let served = model(client, address, wanted).await?;
    let ids = prompt(embedder)?;
    let fields = fields(&Ask::whole(&served.id, TOKENS))?;
    let prompt = serde_json::to_string(&ids).map_err(garbage)?;
    let with_ids = format!("{},\"prompt\":{prompt}}}", fields.trim_end_matches('}'));
    let by_ids = tokens(client, address, Either::Left(Full::from(with_ids))).await?;
    let embeddings = embedder.embed(&ids).map_err(garbage)?;
    let body = PromptBody::new(&fields, &embeddings).map_err(garbage)?;
    let by_embeddings = tokens(client, address, Either::Right(body)).await?;
    if by_ids == by_embeddings {
        Ok(served)
    } else {
        Err(EndpointError::OtherModel {
            id: served.id,
            by_ids,
            by_embeddings,
        })
    }
}

/// The model to ask for.
async fn model(client: &Client, address: &Address, wanted: Option<&str>) -> Result<Served, EndpointError> {
    let list = client.get(&address.url("/v1/models")).await?;
    let list: Models = serde_json::from_slice(&list).map_err(garbage)?;
    let ids = || list.data.iter().map(|model| model.id.clone()).collect::<Vec<_>>();
    let mut fitting = list.data.iter().filter(|model| match wanted {
        Some(wanted) => model.id == wanted,
        None => model.parent.is_none(),
    });
    match (fitting.next(), fitting.next(), wanted) {
        (Some(model), None, _) => Ok(Served {
            id: model.id.clone(),
            context: model.max_model_len,
        }),
        (None, _, Some(wanted)) => Err(EndpointError::NoSuchModel {
            wanted: wanted.to_owned(),
            found: ids(),
        }),
        _ => Err(EndpointError::WhichModel { found: ids() }),
    }
}

fn prompt(embedder: &Embedder) -> Result<Vec<u32>, EndpointError> {
    let tokenizer = embedder.tokenizer();
    let encoding = tokenizer.encode_template(PROMPT).map_err(garbage)?;
    let bos = tokenizer.bos().filter(|_| tokenizer.add_bos());
    Ok(bos.into_iter().chain(encoding.ids).collect())
}

pub(crate) fn fields(ask: &Ask<'_>) -> Result<String, EndpointError> {
    serde_json::to_string(ask).map_err(garbage)
}

/// The tokens of a whole answer.
async fn tokens(
    client: &Client,
    address: &Address,
    body: Either<Full<hyper::body::Bytes>, PromptBody>,
) -> Result<Vec<u32>, EndpointError> {
    let response = client.post(&address.url("/v1/completions"), body).await?;
    let piece: Piece = serde_json::from_slice(&whole(response).await?).map_err(garbage)?;
    if let Some(error) = piece.error {
        return Err(EndpointError::GaveUp(message(&error)));
    }
    let choice = piece.choices.into_iter().next();
    let choice = choice.ok_or_else(|| EndpointError::Garbage("it has no choices".to_owned()))?;
    choice.token_ids.ok_or(EndpointError::NoTokenIds)
}

fn garbage(error: impl std::fmt::Display) -> EndpointError {
    EndpointError::Garbage(error.to_string())
}
