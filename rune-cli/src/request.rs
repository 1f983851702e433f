//! The request that `eval`, `explain` and `query` take on the command line.

use anyhow::{Context as _, Result, bail};
use rune_core::{
    EntityRef, Request,
    syntax::{Node, Shape, json},
};

/// The request that a decision is about. Its name is that of a group of arguments, and those of a command have theirs.
#[derive(Debug, clap::Args)]
pub(crate) struct Whole {
    /// Who asks: `User::"ada"`.
    #[arg(long)]
    principal: EntityRef,
    /// To do what: `Action::"read"`.
    #[arg(long)]
    action: EntityRef,
    /// To what: `Document::"plan"`.
    #[arg(long)]
    resource: EntityRef,
    /// The circumstances, a JSON object: `{ "hour": 9 }`.
    #[arg(long, value_name = "JSON")]
    context: Option<String>,
}

impl Whole {
    /// The request that they make.
    pub(crate) fn request(&self) -> Result<Request> {
        let request = Request::new(self.principal.clone(), self.action.clone(), self.resource.clone());
        in_context(request, self.context.as_deref())
    }
}

/// A request that is decided, or that a query may depend on: all of it, or none.
#[derive(Debug, clap::Args)]
pub(crate) struct Optional {
    /// The request that is asked about, which is given whole: who asks.
    #[arg(long)]
    principal: Option<EntityRef>,
    /// To do what.
    #[arg(long)]
    action: Option<EntityRef>,
    /// To what.
    #[arg(long)]
    resource: Option<EntityRef>,
    /// The circumstances, a JSON object.
    #[arg(long, value_name = "JSON")]
    context: Option<String>,
}

impl Optional {
    /// The request that they make, if there is one.
    pub(crate) fn request(&self) -> Result<Option<Request>> {
        let Self { principal, action, resource, context } = self;
        if let (Some(principal), Some(action), Some(resource)) = (principal, action, resource) {
            let request = Request::new(principal.clone(), action.clone(), resource.clone());
            return in_context(request, context.as_deref()).map(Some);
        }
        let sides = [("--principal", principal), ("--action", action), ("--resource", resource)];
        let missing: Vec<_> = sides.iter().filter(|(_, side)| side.is_none()).map(|(name, _)| *name).collect();
        if missing.len() == sides.len() && context.is_none() {
            return Ok(None);
        }
        // What a schema says of the parts of a request, it says of them together.
        let verb = if missing.len() == 1 { "is" } else { "are" };
        bail!("a request is given whole, so that it can be checked: {} {verb} missing", missing.join(", "));
    }
}

/// A request with the context that was given, if one was.
pub(crate) fn in_context(request: Request, text: Option<&str>) -> Result<Request> {
    Ok(match context(text)? {
        Some(context) => request.with_context(context),
        None => request,
    })
}

/// The context that was given, if one was.
pub(crate) fn context(text: Option<&str>) -> Result<Option<Node>> {
    let Some(text) = text else { return Ok(None) };
    let context = json::parse(text).context("the context is not JSON")?;
    anyhow::ensure!(matches!(context.shape, Shape::Table(_)), "the context is not an object");
    Ok(Some(context))
}
