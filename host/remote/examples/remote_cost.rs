//! What a request costs this host when servers have the LLM's layers: CPU time for encoding a prompt, for a whole request, and how
//! throughput grows with endpoints. The servers are `paced_endpoint`s, in processes of their own. Prints JSON.
//!
//! `cargo run --release -p transducer-remote --example remote_cost` after `cargo build --release -p transducer-remote --examples`.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use hyper::body::Body;
use rustix::time::{ClockId, clock_gettime};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};
use transducer_backbone::{DeviceChoice, DtypeChoice, Embedder, LoadOptions};
use transducer_engine::{Decoding, DecodingOptions, Engine, Event, PromptEmbeddings, Request};
use transducer_remote::{PromptBody, RemoteEngine, RemoteOptions};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Tokens and hidden size of the prompts that are encoded: small, 7B and 70B models.
const SHAPES: [(i64, i64); 4] = [(512, 576), (512, 4096), (2048, 4096), (512, 8192)];

/// Prompts a shape, of which the median counts; and requests, of which the mean does.
const REPEATS: usize = 301;

/// Tokens of a paced answer.
const ANSWER: usize = 16;

fn main() -> Result<()> {
    tch::set_num_threads(1);
    let encoding: Vec<Value> = SHAPES.iter().map(|&shape| encoding(shape)).collect::<Result<_>>()?;
    let folder = tempfile::tempdir()?;
    let embedder = wide_model(folder.path(), 4096)?;
    let report = json!({
        "encoding": encoding,
        "request": {
            "answer of 1 token": request(&embedder, 1)?,
            "answer of 64 tokens": request(&embedder, 64)?,
        },
        "throughput": throughput(&embedder)?,
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

/// CPU time of the body of one request, as the connection would take it.
fn encoding((tokens, hidden): (i64, i64)) -> Result<Value> {
    let tensor = Tensor::randn([tokens, hidden], (Kind::BFloat16, Device::Cpu));
    let mut times = Vec::with_capacity(REPEATS);
    let mut bytes = 0;
    for _ in 0..REPEATS {
        let before = cpu(ClockId::ThreadCPUTime);
        let mut body = PromptBody::new("{\"model\":\"m\"}", &tensor)?;
        let mut sent = 0;
        let mut context = Context::from_waker(Waker::noop());
        while let std::task::Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) {
            sent += frame.data_ref().map_or(0, |data| data.len());
        }
        times.push(cpu(ClockId::ThreadCPUTime) - before);
        bytes = sent;
    }
    times.sort();
    Ok(json!({
        "tokens": tokens, "hidden": hidden, "bytes_sent": bytes,
        "cpu_ms_median": ms(times[REPEATS / 2]), "cpu_ms_p90": ms(times[REPEATS * 9 / 10]),
    }))
}

/// CPU time of this process for one request after another, of 512 tokens, from embeddings to the last event, all threads. What the
/// kernel does is counted apart: on loopback it is the receiver's half of the network too.
fn request(embedder: &Arc<Embedder>, answer: usize) -> Result<Value> {
    let endpoint = Paced::start(1, 0, answer)?;
    let engine = engine(embedder, &[&endpoint])?;
    let ids: Vec<u32> = (0..512).map(|place| place % 300).collect();
    let embeddings = embedder.embed(&ids)?;
    let (mut writing, mut checks) = (Duration::ZERO, Duration::ZERO);
    let mut one = || -> Result<()> {
        // Written just now, as a transducer leaves them, which is not counted.
        let before = cpu(ClockId::ThreadCPUTime);
        let embeddings = embeddings.copy();
        writing += cpu(ClockId::ThreadCPUTime) - before;
        let before = cpu(ClockId::ThreadCPUTime);
        let prompt = PromptEmbeddings::new(&embeddings, embedder)?;
        checks += cpu(ClockId::ThreadCPUTime) - before;
        let completion = engine.generate(prompt, decoding(answer + 8)?)?;
        match completion.ids.len() {
            count if count == answer => Ok(()),
            count => Err(format!("an answer has {count} tokens").into()),
        }
    };
    let before = (cpu(ClockId::ProcessCPUTime), kernel()?);
    for _ in 0..REPEATS {
        one()?;
    }
    let all = cpu(ClockId::ProcessCPUTime) - before.0 - writing;
    let kernel = kernel()? - before.1;
    let each = |time: Duration| ms(time / REPEATS as u32);
    Ok(json!({
        "tokens": 512, "hidden": 4096,
        "cpu_ms": each(all), "of_it_kernel_ms": each(kernel), "program_ms": each(all - kernel),
        "of_it_looking_for_infinities_ms": each(checks),
    }))
}

/// Requests a second of one endpoint and of two, each as fast as the other.
fn throughput(embedder: &Arc<Embedder>) -> Result<Value> {
    const SLOTS: usize = 4;
    const TOKEN_MS: u64 = 10;
    const REQUESTS: usize = 160;
    let endpoints = [
        Paced::start(SLOTS, TOKEN_MS, ANSWER)?,
        Paced::start(SLOTS, TOKEN_MS, ANSWER)?,
    ];
    let rate = |endpoints: &[&Paced]| -> Result<f64> {
        let engine = engine(embedder, endpoints)?;
        let embeddings = embedder.embed(&[5; 64])?;
        let (sender, receiver) = channel();
        let begun = Instant::now();
        for _ in 0..REQUESTS {
            let sender = sender.clone();
            let sink = Box::new(move |event| {
                if !matches!(event, Event::Text(_)) {
                    // The receiver is below.
                    let _ = sender.send(matches!(event, Event::Done(_)));
                }
                ControlFlow::Continue(())
            });
            let prompt = PromptEmbeddings::new(&embeddings, embedder)?;
            engine.submit(Request::new(prompt, decoding(ANSWER + 8)?, sink))?;
        }
        drop(sender);
        let answered = receiver.iter().filter(|&done| done).count();
        if answered != REQUESTS {
            return Err(format!("{answered} of {REQUESTS} were answered").into());
        }
        Ok(REQUESTS as f64 / begun.elapsed().as_secs_f64())
    };
    let (one, two) = (rate(&[&endpoints[0]])?, rate(&[&endpoints[0], &endpoints[1]])?);
    Ok(json!({
        "endpoints": "paced", "slots": SLOTS, "ms_a_token": TOKEN_MS, "tokens_an_answer": ANSWER, "requests": REQUESTS,
        "one_per_s": one, "two_per_s": two, "two_over_one": two / one,
    }))
}

fn engine(embedder: &Arc<Embedder>, endpoints: &[&Paced]) -> Result<RemoteEngine> {
    let options = RemoteOptions {
        endpoints: endpoints
            .iter()
            .map(|endpoint| format!("vllm+http://127.0.0.1:{}", endpoint.port).parse())
            .collect::<std::result::Result<_, _>>()?,
        queue_bound: 1_000,
        requests: 8,
        ..RemoteOptions::default()
    };
    Ok(RemoteEngine::start(embedder.clone(), options)?)
}

fn decoding(most: usize) -> Result<Decoding> {
    Ok(Decoding::new(DecodingOptions {
        max_new_tokens: most,
        ..DecodingOptions::default()
    })?)
}

/// A folder with a table of this width and the tokenizer of a small model, and nothing else: what a host of such a model loads.
fn wide_model(folder: &Path, hidden: usize) -> Result<Arc<Embedder>> {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tiny-llama");
    let mut config: Value = serde_json::from_slice(&std::fs::read(tiny.join("config.json"))?)?;
    config["hidden_size"] = json!(hidden);
    config["head_dim"] = json!(hidden / 4);
    config["max_position_embeddings"] = json!(4096);
    std::fs::write(folder.join("config.json"), config.to_string())?;
    for file in [
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
        "chat_template.jinja",
    ] {
        std::fs::copy(tiny.join(file), folder.join(file))?;
    }
    let vocab = config["vocab_size"].as_u64().ok_or("the tiny model has a vocabulary")? as usize;
    // 0.5 in bf16.
    let values: Vec<u8> = [0x00, 0x3f].repeat(vocab * hidden);
    let table = TensorView::new(Dtype::BF16, vec![vocab, hidden], &values)?;
    let tensors = [("model.embed_tokens.weight", table)];
    safetensors::serialize_to_file(tensors, None, &folder.join("model.safetensors"))?;
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        dtype: DtypeChoice::Bf16,
        ..LoadOptions::default()
    };
    Ok(Arc::new(Embedder::load(folder, &options)?))
}

/// A paced endpoint in a process of its own.
struct Paced {
    child: Child,
    port: u16,
}

impl Paced {
    fn start(slots: usize, token_ms: u64, tokens: usize) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("paced_endpoint");
        let numbers = [0, slots as u64, token_ms, tokens as u64].map(|number| number.to_string());
        let mut child = Command::new(&program)
            .args(numbers)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}; build the examples first", program.display()))?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("its output is a pipe")?;
        BufReader::new(out).read_line(&mut line)?;
        Ok(Self {
            child,
            port: line.trim().parse()?,
        })
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cpu(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

/// What the kernel did for this process so far; it counts in hundredths of a second.
fn kernel() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The second field, the program's name, may have blanks in it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields
        .split_whitespace()
        .nth(12)
        .ok_or("/proc/self/stat has no such field")?;
    Ok(Duration::from_millis(10 * ticks.parse::<u64>()?))
}

/// To a microsecond.
fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}
