//! The request that `eval` and `explain` take on the command line.

use anyhow::{Context as _, Result};
use rune_core::{
    EntityRef, Request,
    syntax::{Node, Shape, json},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
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

impl Arguments {
    /// The request that they make.
    pub(crate) fn request(&self) -> Result<Request> {
        let request = Request::new(self.principal.clone(), self.action.clone(), self.resource.clone());
        in_context(request, self.context.as_deref())
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
