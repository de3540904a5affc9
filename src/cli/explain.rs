//! `explain CODE`.

use millstream::graph::diagnostic::{CODES, CodeInfo, did_you_mean, explain};

use super::{Exit, Outcome, report, terminal};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  millstream explain MS0402
  millstream explain            # every code in a line")]
pub(crate) struct Args {
    /// Code of a diagnostic, such as MS0402; without it all codes are listed
    code: Option<String>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let Some(code) = &args.code else {
        let lines: String = CODES.iter().map(|info| format!("{}  {}\n", info.code, info.title)).collect();
        terminal::print(&lines)?;
        return Ok(Exit::Done);
    };
    match explain(code) {
        Some(CodeInfo { code, title, explanation }) => {
            terminal::print(&format!("{code}: {title}\n\n{explanation}\n"))?;
            Ok(Exit::Done)
        }
        None => {
            let near = did_you_mean(&code.to_uppercase(), CODES.iter().map(|info| info.code));
            let hint = near.map(|near| format!("did you mean {near}?"));
            report::error(
                &format!("there is no diagnostic {code}"),
                Some(hint.as_deref().unwrap_or("`millstream explain` lists them")),
            );
            Ok(Exit::Usage)
        }
    }
}
