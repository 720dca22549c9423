//! Gradients: that they are right, and that they reach every parameter.

mod common;

use common::{Sample, config, largest, prompt, random_tensor, trained};
use tch::{Kind, Tensor};
use transducer_core::{Batch, GraphInput, Pooling, Transducer, TransducerConfig};
use transducer_cpg::EdgeKind;

/// Three prompts: two graphs, one graph, no graph; the edges of all kinds.
fn batch(transducer: &Transducer) -> (Batch, i64) {
    let samples = [(1, 60, 30, 60), (2, 20, 8, 20), (3, 40, 15, 30)];
    let graphs: Vec<GraphInput> = samples
        .iter()
        .map(|&(s, l, n, e)| Sample::random(s, l, n, e).input())
        .collect();
    let mut rows = 0;
    let mut inputs = Vec::new();
    for graphs in [&graphs[..2], &graphs[2..], &[]] {
        let (input, taken) = prompt(rows, graphs);
        inputs.push(input);
        rows += taken;
    }
    (transducer.batch(&inputs, rows).unwrap(), rows as i64)
}

/// A number that depends on every component of the result in its own way.
fn loss(transducer: &Transducer, batch: &Batch, embeddings: &Tensor) -> Tensor {
    let enriched = transducer.forward(batch, embeddings).unwrap();
    let probe = random_tensor(99, &enriched.size()).to_kind(enriched.kind());
    (enriched * probe).sum(None::<Kind>)
}

#[test]
fn every_parameter_learns() {
    check_every_parameter_learns(config());
    check_every_parameter_learns(TransducerConfig {
        pooling: Pooling::Max,
        ..config()
    });
}

fn check_every_parameter_learns(config: TransducerConfig) {
    let transducer = trained(config, 4);
    transducer.set_trainable(true);
    let (batch, rows) = batch(&transducer);
    loss(&transducer, &batch, &random_tensor(5, &[rows, 24])).backward();
    for (name, parameter) in transducer.parameters() {
        let gradient = parameter.grad();
        assert!(gradient.defined(), "{name} has no gradient");
        // Every row: each relation, task token and component has its part, and so has each node kind that occurs.
        let rows = gradient.abs().amax([1_i64].as_slice(), false);
        let least = rows.min().double_value(&[]);
        if name == "gve.kind.weight" {
            let without = rows.less_equal(1e-6).sum(Kind::Int64).int64_value(&[]);
            assert!(without < rows.numel() as i64 / 2, "{without} kinds do not learn");
        } else {
            assert!(least > 1e-6, "{name} has a row whose largest gradient is {least:e}");
        }
    }
}

#[test]
fn untrained_learns_through_what_writes_into_the_embeddings() {
    let transducer = Transducer::new(config(), tch::Device::Cpu, 4).unwrap();
    transducer.set_trainable(true);
    let (batch, rows) = batch(&transducer);
    loss(&transducer, &batch, &random_tensor(5, &[rows, 24])).backward();
    for (name, parameter) in transducer.parameters() {
        let writes = ["fusion.output.weight", "task.vectors", "task.output.weight"].contains(&name);
        // The rest is multiplied by zeros at first, and follows after one step.
        assert_eq!(largest(parameter.grad()) > 0.0, writes, "{name}");
    }
}

#[test]
fn a_few_steps_move_every_parameter_downhill() {
    const STEPS: usize = 10;
    const RATE: f64 = 1e-2;
    let transducer = Transducer::new(config(), tch::Device::Cpu, 4).unwrap();
    transducer.set_trainable(true);
    let (batch, rows) = batch(&transducer);
    let embeddings = random_tensor(5, &[rows, 24]);
    let parameters: Vec<Tensor> = transducer
        .parameters()
        .map(|(_, tensor)| tensor.shallow_clone())
        .collect();
    let first: Vec<Tensor> = parameters.iter().map(|tensor| tensor.detach().copy()).collect();
    let mut losses = Vec::new();
    for _ in 0..STEPS {
        // Away from the embeddings: a target that is there to be learned, but not all of it.
        let target = random_tensor(6, &[rows, 24]);
        let loss = (transducer.forward(&batch, &embeddings).unwrap() - target)
            .square()
            .sum(Kind::Float);
        losses.push(loss.double_value(&[]));
        let gradients = Tensor::run_backward(&[loss], &parameters, false, false);
        tch::no_grad(|| {
            for (parameter, gradient) in parameters.iter().zip(gradients) {
                let _in_place = parameter.shallow_clone().g_sub_(&(gradient * RATE / rows as f64));
            }
        });
    }
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    for ((name, now), first) in transducer.parameters().zip(&first) {
        assert!(largest(now - first) > 0.0, "{name} has not moved");
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    const STEP: f64 = 1e-5;
    // Two forward passes for each derivative, of tensors too small to share among threads.
    tch::set_num_threads(1);
    let tiny = TransducerConfig {
        width: 4,
        task_tokens: 2,
        reply_tokens: 1,
        edge_kinds: vec![EdgeKind::Ast, EdgeKind::NextToken],
        fusion_scale: 0.7,
        task_scale: 1.3,
        ..TransducerConfig::for_hidden(6)
    };
    let transducer = trained(tiny, 6).to_kind(Kind::Double);
    let (batch, rows) = batch(&transducer);
    let embeddings = random_tensor(7, &[rows, 6])
        .to_kind(Kind::Double)
        .set_requires_grad(true);
    transducer.set_trainable(true);
    loss(&transducer, &batch, &embeddings).backward();
    let value = || tch::no_grad(|| loss(&transducer, &batch, &embeddings).double_value(&[]));
    // Every parameter; of the embeddings, which are many, one component in 13.
    for (name, tensor, stride) in
        transducer
            .parameters()
            .map(|(name, tensor)| (name, tensor, 1))
            .chain([("embeddings", &embeddings, 13)])
    {
        let gradient = tensor.grad().view(-1);
        let flat = tensor.detach().view(-1);
        for place in (0..flat.numel() as i64).step_by(stride) {
            let mut element = flat.get(place);
            let at = element.double_value(&[]);
            let mut value_at = |x: f64| {
                let _in_place = element.fill_(x);
                value()
            };
            let slope = (value_at(at + STEP) - value_at(at - STEP)) / (2.0 * STEP);
            value_at(at);
            let ours = gradient.double_value(&[place]);
            assert!(
                (ours - slope).abs() < 1e-6 * slope.abs().max(1.0),
                "{name}[{place}]: {ours} against {slope}"
            );
        }
    }
}
