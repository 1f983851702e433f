//! Two engines and one world: what each answers, and where they differ.

pub mod worlds;

use std::{
    collections::{BTreeSet, HashMap},
    error::Error,
    fmt,
};

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, EntityId, EntityUid, PolicyId, PolicySet, Schema,
    SlotId,
};
use rune_core::{Effect, Engine, EntityRef, File, Options, Program, Request, Severity, Sources, Why};
use worlds::{Ask, Link, SCHEMA, SCHEMA_TEXT, Uid, World};

/// What an engine says to a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether the request may be carried out.
    pub allows: bool,
    /// The ids of the policies that determine it.
    pub determining: BTreeSet<String>,
    /// The ids of the policies that fail.
    pub failed: BTreeSet<String>,
}

/// How the twins differ.
pub struct Difference {
    /// The request that shows it; none if RUNE refuses the world.
    asks: Vec<Ask>,
    what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.asks.iter().try_for_each(|ask| write!(f, "\nwhen asked {ask}"))
    }
}

/// Builds the world twice and asks both twins.
pub fn compare(world: &World, asks: &[Ask], mix: &mut Mix) -> Result<(), Difference> {
    let Ok(cedar) = Cedar::build(world) else {
        mix.refused += 1;
        return Ok(());
    };
    mix.worlds += 1;
    let rune = build_rune(world).map_err(|what| Difference { asks: Vec::new(), what })?;
    for ask in asks {
        let differ = |what| Difference { asks: vec![ask.clone()], what };
        let expected =
            cedar.answer(ask).map_err(|error| differ(format!("Cedar does not take the request: {error}")))?;
        let found = ask_rune(&rune, ask).map_err(differ)?;
        if found != expected {
            return Err(differ(format!("Cedar says {expected:?}\n RUNE says {found:?}")));
        }
        mix.requests += 1;
        mix.allowed += usize::from(expected.allows);
        mix.failing += usize::from(!expected.failed.is_empty());
        mix.several += usize::from(1 < expected.determining.len());
        mix.linked += usize::from(world.links.iter().any(|link| expected.determining.contains(&link.id)));
        mix.overridden += usize::from(!expected.determining.is_empty() && !expected.allows && cedar.permits(ask));
    }
    Ok(())
}

/// Takes parts out of the world for as long as the twins differ over what is left.
pub fn shrink(world: World, difference: Difference) -> (World, Difference) {
    fn take_out<T: Clone>(part: fn(&mut World) -> &mut Vec<T>, world: &mut World, last: &mut Difference) {
        for at in (0..part(world).len()).rev() {
            let removed = part(world).remove(at);
            match compare(world, &last.asks, &mut Mix::default()) {
                Ok(()) => part(world).insert(at, removed),
                Err(difference) => *last = difference,
            }
        }
    }
    let (mut world, mut last) = (world, difference);
    take_out(|world| &mut world.links, &mut world, &mut last);
    take_out(|world| &mut world.policies, &mut world, &mut last);
    take_out(|world| &mut world.entities, &mut world, &mut last);
    (world, last)
}

/// The world in RUNE, or why it is refused.
pub fn build_rune(world: &World) -> Result<Engine, String> {
    build_with(world, Vec::new())
}

/// The world in RUNE with more files, or why it is refused.
pub fn build_with(world: &World, mut files: Vec<File>) -> Result<Engine, String> {
    files.extend([
        File::new("p.cedar", world.policies.join("\n").into_bytes()),
        File::new("e.entities.json", world.entities_json().into_bytes()),
        File::new("x.links.json", world.links_json().to_string().into_bytes()),
    ]);
    if world.has_schema {
        files.push(File::new("s.cedarschema", SCHEMA_TEXT.as_bytes()));
    }
    let options = Options { invalid_policy: Severity::Warning, ..Options::default() };
    match Program::build(Sources::new(files), options) {
        Ok(program) => Ok(Engine::new(program)),
        Err(report) => Err(format!("RUNE refuses what Cedar takes: {report}")),
    }
}

/// The request as RUNE takes it.
pub fn request(ask: &Ask) -> Result<Request, String> {
    let entity = |(kind, id): &Uid| EntityRef::new(kind, id);
    let request = Request::new(entity(&ask.principal), entity(&ask.action), entity(&ask.resource));
    request.with_context_json(&ask.context.to_string()).map_err(|error| error.to_string())
}

/// RUNE's answer, the same from `decide` and from `explain`.
fn ask_rune(engine: &Engine, ask: &Ask) -> Result<Answer, String> {
    let request = request(ask)?;
    let (explanation, decision) = (engine.explain(&request), engine.decide(&request));
    let answer = Answer {
        allows: explanation.decision.effect() == Effect::Allow,
        determining: explanation.determining.iter().map(|policy| policy.rule.id.to_string()).collect(),
        failed: explanation.failed.iter().map(|failed| failed.instance.rule.id.to_string()).collect(),
    };
    let agrees = decision == explanation.decision
        && match &decision.why {
            Why::AllowedBy(id) => answer.allows && answer.determining.contains(&**id),
            Why::ForbiddenBy(id) => !answer.allows && answer.determining.contains(&**id),
            Why::NotPermitted => !answer.allows && answer.determining.is_empty(),
            Why::Error(_) => false,
        };
    if agrees { Ok(answer) } else { Err(format!("RUNE decides {decision:?} and explains {explanation:?}")) }
}

/// A world as Cedar has it.
pub struct Cedar {
    policies: PolicySet,
    /// The same without what forbids.
    permits: PolicySet,
    pub entities: Entities,
    schema: Option<&'static Schema>,
}

impl Cedar {
    /// The world, if Cedar takes it.
    pub fn build(world: &World) -> Result<Self, Box<dyn Error>> {
        let schema = world.has_schema.then_some(&*SCHEMA);
        let parsed: PolicySet = world.policies.join("\n").parse()?;
        // A policy goes by its `@id`, and without one by file and position.
        let name = |annotation: Option<&str>, position: &PolicyId| match annotation {
            None | Some("") => PolicyId::new(format!("p.cedar:{position}")),
            Some(id) => PolicyId::new(id),
        };
        let mut policies = PolicySet::new();
        for policy in parsed.policies() {
            policies.add(policy.new_id(name(policy.annotation("id"), policy.id())))?;
        }
        for template in parsed.templates() {
            policies.add_template(template.new_id(name(template.annotation("id"), template.id())))?;
        }
        for Link { template, id, slots } in &world.links {
            let slot = |name: &str| if name == "?principal" { SlotId::principal() } else { SlotId::resource() };
            let slots: HashMap<_, _> = slots.iter().map(|(name, entity)| (slot(name), uid(entity))).collect();
            policies.link(PolicyId::new(template), PolicyId::new(id), slots)?;
        }
        let mut permits = policies.clone();
        for policy in policies.policies().filter(|policy| policy.effect() == cedar_policy::Effect::Forbid) {
            match policy.template_id() {
                Some(_) => permits.unlink(policy.id().clone())?,
                None => permits.remove_static(policy.id().clone())?,
            };
        }
        let entities = Entities::from_json_str(&world.entities_json(), schema)?;
        Ok(Self { policies, permits, entities, schema })
    }

    pub fn request(&self, ask: &Ask) -> Result<cedar_policy::Request, Box<dyn Error>> {
        let action = uid(&ask.action);
        let context = Context::from_json_value(ask.context.clone(), self.schema.map(|schema| (schema, &action)))?;
        Ok(cedar_policy::Request::new(uid(&ask.principal), action, uid(&ask.resource), context, self.schema)?)
    }

    /// Cedar's answer, if it takes the request.
    pub fn answer(&self, ask: &Ask) -> Result<Answer, Box<dyn Error>> {
        let response = Authorizer::new().is_authorized(&self.request(ask)?, &self.policies, &self.entities);
        let plain = |id: &PolicyId| AsRef::<str>::as_ref(id).to_owned();
        let failed = |AuthorizationError::PolicyEvaluationError(error): &_| plain(error.policy_id());
        Ok(Answer {
            allows: response.decision() == Decision::Allow,
            determining: response.diagnostics().reason().map(plain).collect(),
            failed: response.diagnostics().errors().map(failed).collect(),
        })
    }

    /// Whether the request would be allowed if nothing were forbidden.
    fn permits(&self, ask: &Ask) -> bool {
        let response = |request| Authorizer::new().is_authorized(&request, &self.permits, &self.entities);
        self.request(ask).is_ok_and(|request| response(request).decision() == Decision::Allow)
    }
}

fn uid((kind, id): &Uid) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.parse().expect("the name of a type"), EntityId::new(id))
}

/// What was asked of how many worlds, and what the answers were like.
#[derive(Default)]
pub struct Mix {
    /// Worlds that both took.
    pub worlds: usize,
    /// Worlds that Cedar does not take.
    pub refused: usize,
    /// Requests to all of them.
    pub requests: usize,
    allowed: usize,
    /// Requests for which a policy fails.
    failing: usize,
    /// Requests with several determining policies.
    several: usize,
    /// Requests for which a forbid is satisfied and a permit too.
    overridden: usize,
    /// Requests that the link of a template determines.
    linked: usize,
}

impl Mix {
    /// Worlds whose answers are all alike would prove nothing.
    pub fn check(&self) {
        let Self { requests, .. } = *self;
        assert!(self.refused * 20 < self.worlds, "Cedar refuses more than 5 % of the worlds: {self}");
        for (what, n, percent_min) in [
            ("are allowed", self.allowed, 20),
            ("have a policy that fails", self.failing, 10),
            ("have several determining policies", self.several, 10),
            ("have a forbid that overrides a permit", self.overridden, 5),
            ("are determined by a link", self.linked, 5),
        ] {
            assert!(requests * percent_min <= n * 100, "fewer than {percent_min} % of the requests {what}: {self}");
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worlds, refused, requests, .. } = *self;
        let percent = |n: usize| format!("{}.{} %", n * 100 / requests.max(1), n * 1_000 / requests.max(1) % 10);
        write!(f, "{worlds} worlds ({refused} more that Cedar refuses), {requests} requests: ")?;
        write!(f, "{} allowed, {} with a failing policy, ", percent(self.allowed), percent(self.failing))?;
        write!(f, "{} with several determining policies, ", percent(self.several))?;
        write!(f, "{} with an overridden permit, {} by a link", percent(self.overridden), percent(self.linked))
    }
}
