//! Data flow against the meaning of small random programs.
//!
//! A program is run over its own structure, never over a control flow graph: a state is where each variable was given its
//! value last, conditions go both ways, loops run until no new state comes. What is read in some state is exactly what can
//! reach it, so that REACHING_DEF has to be the same, but for `finally`: a graph has each `finally` once, whatever it was
//! entered for, so that there it may have more and never less.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use transducer_frontend::cpg::{EdgeKind, NodeKind};
use transducer_frontend::{FrontEnd as _, ParseLimits};
use transducer_frontend_java::JavaFrontEnd;

const VARIABLES: [&str; 3] = ["a", "b", "c"];
const PROGRAMS: u64 = 3000;

/// A variable's mention: which one, and at which byte of the text.
type Mention = (usize, usize);

enum Statement {
    /// `a = b + 1;`
    Assign(Mention, Mention),
    /// `f(a);`, which may throw.
    Call(Mention),
    If(Mention, Vec<Statement>, Vec<Statement>),
    While(usize, Mention, Vec<Statement>),
    DoWhile(usize, Vec<Statement>, Mention),
    /// Initialiser, condition, update, body.
    For(usize, [Mention; 2], Mention, [Mention; 2], Vec<Statement>),
    /// Selector, groups that fall through, and whether the last is the default.
    Switch(Mention, Vec<Vec<Statement>>, bool),
    Try(Vec<Statement>, Option<Vec<Statement>>, Option<Vec<Statement>>),
    Break(Option<usize>),
    Continue(Option<usize>),
    Return(Mention),
    Throw,
}

/// Writes a random program and keeps its structure.
struct Writer {
    random: StdRng,
    text: String,
    /// The loops around, innermost last.
    loops: Vec<usize>,
    count: usize,
    with_finally: bool,
}

impl Writer {
    fn below(&mut self, limit: usize) -> usize {
        self.random.random_range(0..limit)
    }

    fn mention(&mut self) -> Mention {
        let variable = self.below(VARIABLES.len());
        let at = self.text.len();
        self.text += VARIABLES[variable];
        (variable, at)
    }

    fn assign(&mut self) -> [Mention; 2] {
        let target = self.mention();
        self.text += " = ";
        let value = self.mention();
        self.text += " + 1";
        [target, value]
    }

    fn condition(&mut self) -> Mention {
        let mention = self.mention();
        self.text += " > 0";
        mention
    }

    fn block(&mut self, depth: usize, breaks: bool) -> Vec<Statement> {
        self.text += "{ ";
        let block = self.statements(depth, breaks);
        self.text += "} ";
        block
    }

    fn statements(&mut self, depth: usize, breaks: bool) -> Vec<Statement> {
        let count = self.below(4);
        (0..count).map(|_| self.statement(depth, breaks)).collect()
    }

    fn open_loop(&mut self) -> usize {
        self.count += 1;
        self.text += &format!("L{}: ", self.count);
        self.loops.push(self.count);
        self.count
    }

    /// `breaks` says whether there is a loop or a switch around.
    fn statement(&mut self, depth: usize, breaks: bool) -> Statement {
        let choice = self.below(if depth == 0 { 8 } else { 16 });
        match choice {
            0..=2 => {
                let [target, value] = self.assign();
                self.text += "; ";
                Statement::Assign(target, value)
            }
            3 | 4 => {
                self.text += "f(";
                let argument = self.mention();
                self.text += "); ";
                Statement::Call(argument)
            }
            5 if breaks => {
                let label = (!self.loops.is_empty() && self.below(2) == 0).then(|| self.a_loop());
                self.text += &label.map_or("break; ".to_owned(), |label| format!("break L{label}; "));
                Statement::Break(label)
            }
            6 if !self.loops.is_empty() => {
                let label = (self.below(2) == 0).then(|| self.a_loop());
                self.text += &label.map_or("continue; ".to_owned(), |label| format!("continue L{label}; "));
                Statement::Continue(label)
            }
            7 if self.below(3) == 0 => {
                self.text += "throw e; ";
                Statement::Throw
            }
            5..=7 => {
                self.text += "return ";
                let value = self.mention();
                self.text += "; ";
                Statement::Return(value)
            }
            8 | 9 => {
                self.text += "if (";
                let condition = self.condition();
                self.text += ") ";
                let then = self.block(depth - 1, breaks);
                self.text += "else ";
                Statement::If(condition, then, self.block(depth - 1, breaks))
            }
            10 => {
                let label = self.open_loop();
                self.text += "while (";
                let condition = self.condition();
                self.text += ") ";
                let body = self.block(depth - 1, true);
                self.loops.pop();
                Statement::While(label, condition, body)
            }
            11 => {
                let label = self.open_loop();
                self.text += "do ";
                let body = self.block(depth - 1, true);
                self.text += "while (";
                let condition = self.condition();
                self.text += "); ";
                self.loops.pop();
                Statement::DoWhile(label, body, condition)
            }
            12 => {
                let label = self.open_loop();
                self.text += "for (";
                let start = self.assign();
                self.text += "; ";
                let condition = self.condition();
                self.text += "; ";
                let update = self.assign();
                self.text += ") ";
                let body = self.block(depth - 1, true);
                self.loops.pop();
                Statement::For(label, start, condition, update, body)
            }
            13 => {
                self.text += "switch (";
                let selector = self.mention();
                self.text += ") { ";
                let cases = self.below(3) + 1;
                let has_default = self.below(2) == 0;
                let mut groups = Vec::new();
                for case in 0..cases {
                    let is_default = has_default && case + 1 == cases;
                    self.text += &if is_default {
                        "default: ".to_owned()
                    } else {
                        format!("case {case}: ")
                    };
                    groups.push(self.statements(depth - 1, true));
                }
                self.text += "} ";
                Statement::Switch(selector, groups, has_default)
            }
            _ => {
                // A call comes first: without one, the graph takes operators to throw.
                self.text += "try { f(";
                let argument = self.mention();
                self.text += "); ";
                let mut body = vec![Statement::Call(argument)];
                body.extend(self.statements(depth - 1, breaks));
                self.text += "} ";
                let finally = self.with_finally && self.below(2) == 0;
                let handler = (!finally || self.below(2) == 0).then(|| {
                    self.text += "catch (Throwable e) ";
                    self.block(depth - 1, breaks)
                });
                let last = finally.then(|| {
                    self.text += "finally ";
                    self.block(depth - 1, breaks)
                });
                Statement::Try(body, handler, last)
            }
        }
    }

    /// One of the loops around.
    fn a_loop(&mut self) -> usize {
        let index = self.below(self.loops.len());
        self.loops[index]
    }
}

/// Where each variable was given its value.
type State = [usize; VARIABLES.len()];

/// How statements end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Normal,
    Break(Option<usize>),
    Continue(Option<usize>),
    Return,
    Throw,
}

type Ends = BTreeSet<(End, State)>;

/// Where a value was given, and where it was read.
type Pairs = BTreeSet<(usize, usize)>;

/// What was read, and where its value came from.
#[derive(Default)]
struct Runner {
    pairs: Pairs,
    /// The mentions that were come by.
    seen: BTreeSet<usize>,
}

impl Runner {
    fn read(&mut self, (variable, at): Mention, state: &State) {
        self.seen.insert(at);
        self.pairs.insert((state[variable], at));
    }

    fn assign(&mut self, (variable, at): Mention, value: Mention, mut state: State) -> State {
        self.read(value, &state);
        self.seen.insert(at);
        state[variable] = at;
        state
    }

    fn all(&mut self, statements: &[Statement], state: State) -> Ends {
        let mut ends = Ends::from([(End::Normal, state)]);
        for statement in statements {
            let mut next = Ends::new();
            for (end, state) in ends {
                if end == End::Normal {
                    next.extend(self.one(statement, state));
                } else {
                    next.insert((end, state));
                }
            }
            ends = next;
        }
        ends
    }

    /// A loop: `test` reads the condition, `step` does what comes after each round; it is entered with the body, or the test.
    fn cycle(
        &mut self,
        label: usize,
        start: State,
        tests_first: bool,
        body: &[Statement],
        test: Mention,
        step: Option<[Mention; 2]>,
    ) -> Ends {
        let mut ends = Ends::new();
        let mut tested = BTreeSet::new();
        let mut begun = BTreeSet::new();
        let mut waiting = vec![(tests_first, start)];
        while let Some((at_test, state)) = waiting.pop() {
            if at_test {
                if tested.insert(state) {
                    self.read(test, &state);
                    ends.insert((End::Normal, state));
                    waiting.push((false, state));
                }
                continue;
            }
            if !begun.insert(state) {
                continue;
            }
            for (end, state) in self.all(body, state) {
                let is_here = |to: Option<usize>| to.is_none_or(|to| to == label);
                match end {
                    End::Break(to) if is_here(to) => _ = ends.insert((End::Normal, state)),
                    End::Normal => waiting.push((true, self.step(step, state))),
                    End::Continue(to) if is_here(to) => waiting.push((true, self.step(step, state))),
                    end => _ = ends.insert((end, state)),
                }
            }
        }
        ends
    }

    fn step(&mut self, step: Option<[Mention; 2]>, state: State) -> State {
        step.map_or(state, |[target, value]| self.assign(target, value, state))
    }

    fn one(&mut self, statement: &Statement, state: State) -> Ends {
        let normal = |state| Ends::from([(End::Normal, state)]);
        match statement {
            Statement::Assign(target, value) => normal(self.assign(*target, *value, state)),
            Statement::Call(argument) => {
                self.read(*argument, &state);
                Ends::from([(End::Normal, state), (End::Throw, state)])
            }
            Statement::If(condition, then, otherwise) => {
                self.read(*condition, &state);
                let mut ends = self.all(then, state);
                ends.extend(self.all(otherwise, state));
                ends
            }
            Statement::While(label, condition, body) => self.cycle(*label, state, true, body, *condition, None),
            Statement::DoWhile(label, body, condition) => self.cycle(*label, state, false, body, *condition, None),
            Statement::For(label, [target, value], condition, update, body) => {
                let state = self.assign(*target, *value, state);
                self.cycle(*label, state, true, body, *condition, Some(*update))
            }
            Statement::Switch(selector, groups, has_default) => {
                self.read(*selector, &state);
                let mut ends = if *has_default { Ends::new() } else { normal(state) };
                for first in 0..groups.len() {
                    let mut falling = normal(state);
                    for group in &groups[first..] {
                        let mut next = Ends::new();
                        for (end, state) in falling {
                            match end {
                                End::Normal => next.extend(self.all(group, state)),
                                end => _ = next.insert((end, state)),
                            }
                        }
                        falling = next;
                    }
                    let out = |(end, state)| (if end == End::Break(None) { End::Normal } else { end }, state);
                    ends.extend(falling.into_iter().map(out));
                }
                ends
            }
            Statement::Try(body, handler, finally) => {
                let mut ends = Ends::new();
                for (end, state) in self.all(body, state) {
                    match handler {
                        Some(handler) if end == End::Throw => ends.extend(self.all(handler, state)),
                        _ => _ = ends.insert((end, state)),
                    }
                }
                let Some(finally) = finally else { return ends };
                let mut after = Ends::new();
                for (end, state) in ends {
                    for (own, state) in self.all(finally, state) {
                        after.insert((if own == End::Normal { end } else { own }, state));
                    }
                }
                after
            }
            Statement::Break(label) => Ends::from([(End::Break(*label), state)]),
            Statement::Continue(label) => Ends::from([(End::Continue(*label), state)]),
            Statement::Return(value) => {
                self.read(*value, &state);
                Ends::from([(End::Return, state)])
            }
            Statement::Throw => Ends::from([(End::Throw, state)]),
        }
    }
}

/// The pairs that the graph has and those that the program has; of code that never runs, none.
fn compare(seed: u64, with_finally: bool) -> (String, Pairs, Pairs) {
    let mut writer = Writer {
        random: StdRng::seed_from_u64(seed),
        text: "void m(RuntimeException e, ".to_owned(),
        loops: Vec::new(),
        count: 0,
        with_finally,
    };
    let mut start: State = Default::default();
    for (variable, place) in VARIABLES.iter().zip(&mut start) {
        *place = writer.text.len();
        writer.text += &format!("int {variable}, ");
    }
    writer.text += "int last) ";
    let program = writer.block(3, false);
    let source = writer.text;
    let mut runner = Runner::default();
    runner.all(&program, start);
    runner.seen.extend(start);

    let graph = JavaFrontEnd::parse(&source, &ParseLimits::DEFAULT).expect("a graph");
    assert!(graph.diagnostics().is_empty(), "{:?}\n{source}", graph.diagnostics());
    let place = |node: u32| graph.nodes()[node as usize].span.start as usize;
    let edges = graph.edges_of(EdgeKind::ReachingDef).iter();
    let found = edges
        .filter(|edge| VARIABLES.contains(&graph.label(edge)))
        .filter(|edge| graph.nodes()[edge.target as usize].kind == NodeKind::Identifier)
        .map(|edge| (place(edge.source), place(edge.target)))
        .filter(|(from, to)| runner.seen.contains(from) && runner.seen.contains(to))
        .collect();
    (source, found, runner.pairs)
}

#[test]
fn definitions_reach_what_running_the_program_says() {
    let mut pairs = 0;
    for seed in 0..PROGRAMS {
        let (source, found, expected) = compare(seed, false);
        let difference: Vec<_> = found.symmetric_difference(&expected).collect();
        assert!(difference.is_empty(), "program {seed}: {difference:?}\n{source}");
        pairs += found.len();
    }
    assert!(
        pairs > PROGRAMS as usize,
        "the programs have something to compare: {pairs} pairs"
    );
}

#[test]
fn definitions_reach_through_finally() {
    for seed in 0..PROGRAMS {
        let (source, found, expected) = compare(seed, true);
        let missing: Vec<_> = expected.difference(&found).collect();
        assert!(missing.is_empty(), "program {seed}: {missing:?}\n{source}");
    }
}
