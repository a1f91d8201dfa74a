//! `cometd-load`: loads a Bayeux server, and says what it takes.
//!
//! ```text
//! cometd-load fanout --url http://127.0.0.1:8080/cometd --pid $!        one channel, 1,000 subscribers
//! cometd-load cometd --transport long-polling --rate max                CometD's own load, without pace
//! cometd-load echo --json echo.json --svg echo.svg                      publishes and their replies
//! cometd-load plot one.json other.json --svg both.svg                   latencies of several runs
//! ```
//!
//! Exit status: 0 if there is a report, 1 if there is one and something was lost, came twice or out of
//! order (only with `--strict`), 64 if the command makes no sense, 69 if the server cannot be loaded, 74
//! if what is to be said cannot be written.

use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cometd_testkit::cli::{self, SENSELESS, UNWRITTEN};
use cometd_testkit::load::{
    self, LoadError, Phase, Plan, Progress, Rate, Report, Scenario, Transport,
};
use indicatif::{ProgressBar, ProgressStyle};

/// Loads a Bayeux server with many clients, and says what it takes.
#[derive(Parser, Debug)]
#[command(version, args_override_self = true)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// One channel to which everybody is subscribed
    Fanout(Load),
    /// Many channels, each client subscribed to one of them
    Rooms(Load),
    /// CometD's own benchmark: overlapping rooms, subscribers that publish, bursts
    Cometd(Load),
    /// Publishes without subscribers; what is delivered are their replies
    Echo(Load),
    /// Connects that are held, and nothing else
    Hold(Load),
    /// Sessions that come and go; what is delivered are whole lives
    Churn(Load),
    /// Draws the latencies of several runs
    Plot(Plot),
}

#[derive(Args, Debug)]
struct Plot {
    /// Reports as `--json` wrote them; a run is called as its file is
    #[arg(required = true, value_name = "FILE")]
    reports: Vec<PathBuf>,
    /// The picture
    #[arg(long, value_name = "FILE")]
    svg: PathBuf,
    /// What is written above it
    #[arg(long, default_value = "Latency")]
    title: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
#[value(rename_all = "kebab-case")]
enum Over {
    Websocket,
    LongPolling,
}

#[derive(Args, Debug)]
struct Load {
    /// The server
    #[arg(long, default_value = "http://127.0.0.1:8080/cometd")]
    url: String,
    /// How clients are connected
    #[arg(long, value_enum, default_value = "websocket")]
    transport: Over,
    /// The server's process, to see what it costs
    #[arg(long)]
    pid: Option<u32>,
    /// Clients
    #[arg(long, value_name = "N")]
    clients: Option<usize>,
    /// Channels
    #[arg(long, value_name = "N")]
    channels: Option<u16>,
    /// Channels that each client is subscribed to
    #[arg(long, value_name = "N")]
    subscriptions: Option<u16>,
    /// Clients beside the others that only publish; with 0 the others do
    #[arg(long, value_name = "N")]
    publishers: Option<usize>,
    /// Bytes of each message's data
    #[arg(long, value_name = "BYTES")]
    payload: Option<usize>,
    /// Messages that leave at once, in one payload
    #[arg(long, value_name = "N")]
    batch: Option<u32>,
    /// Deliveries per second, or `max`
    #[arg(long, value_parser = rate)]
    rate: Option<Rate>,
    /// Messages on their way at most, if the rate is `max`
    #[arg(long, value_name = "N")]
    window: Option<u32>,
    /// Asks for acknowledged messages
    #[arg(long)]
    ack: bool,
    /// What channels' names begin with
    #[arg(long)]
    prefix: Option<String>,
    /// How long it runs before it is measured
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    warmup: Option<Duration>,
    /// How long it is measured
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,
    /// Who is in which room, and what is published where
    #[arg(long)]
    seed: Option<u64>,
    /// Writes the report as JSON, too; `-` for standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws the latencies
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Ends with status 1 if anything was lost, came twice or out of order
    #[arg(long)]
    strict: bool,
    /// Shows no progress and no table
    #[arg(long)]
    quiet: bool,
}

const LOST: u8 = 1;
const UNAVAILABLE: u8 = 69;

/// What to say, and the status.
type Trouble = (String, u8);

fn main() -> ExitCode {
    let options: Options = match cli::parse() {
        Ok(options) => options,
        Err(code) => return code,
    };
    let result = match options.command {
        Command::Plot(plot) => draw(&plot),
        Command::Fanout(it) => it.run(Scenario::Fanout),
        Command::Rooms(it) => it.run(Scenario::Rooms),
        Command::Cometd(it) => it.run(Scenario::Cometd),
        Command::Echo(it) => it.run(Scenario::Echo),
        Command::Hold(it) => it.run(Scenario::Hold),
        Command::Churn(it) => it.run(Scenario::Churn),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err((what, code)) => {
            eprintln!("{what}");
            ExitCode::from(code)
        }
    }
}

fn rate(text: &str) -> Result<Rate, String> {
    match text {
        "max" => Ok(Rate::Max),
        text => text.parse().map(Rate::Paced).map_err(|_| "neither a number nor `max`".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

impl Load {
    fn run(self, scenario: Scenario) -> Result<u8, Trouble> {
        let plan = self.plan(scenario).map_err(|what| (what, SENSELESS))?;
        let bar = if self.quiet { ProgressBar::hidden() } else { ProgressBar::new(1_000) };
        if let Ok(style) = ProgressStyle::with_template("{prefix:<10} {bar:40} {msg}") {
            bar.set_style(style);
        }
        let report = load::run(&plan, &mut |progress| show(&bar, progress));
        bar.finish_and_clear();
        let report = report.map_err(|error| {
            let code = if matches!(error, LoadError::Plan(_)) { SENSELESS } else { UNAVAILABLE };
            (error.to_string(), code)
        })?;
        self.write(&report)?;
        Ok(if self.strict && !report.checks.well() { LOST } else { 0 })
    }

    fn plan(&self, scenario: Scenario) -> Result<Plan, String> {
        let (host, path) = address(&self.url)?;
        let transport = match self.transport {
            Over::Websocket => Transport::WebSocket,
            Over::LongPolling => Transport::LongPolling,
        };
        let mut plan = Plan::new(scenario, transport, resolve(&host)?);
        plan.host = host;
        plan.path = path;
        plan.pid = self.pid;
        plan.ack = self.ack;
        set(&mut plan.clients, self.clients);
        set(&mut plan.channels, self.channels);
        set(&mut plan.subscriptions, self.subscriptions);
        set(&mut plan.publishers, self.publishers);
        set(&mut plan.payload, self.payload);
        set(&mut plan.batch, self.batch);
        set(&mut plan.rate, self.rate);
        set(&mut plan.window, self.window);
        set(&mut plan.prefix, self.prefix.clone());
        set(&mut plan.warmup, self.warmup);
        set(&mut plan.duration, self.duration);
        set(&mut plan.seed, self.seed);
        Ok(plan)
    }

    fn write(&self, report: &Report) -> Result<(), Trouble> {
        if !self.quiet {
            print(&report.to_string())?;
        }
        if let Some(file) = &self.json {
            let text = serde_json::to_string_pretty(report).map_err(unwritten(file))? + "\n";
            if file.as_os_str() == "-" {
                print(&text)?;
            } else {
                fs::write(file, text).map_err(unwritten(file))?;
            }
        }
        if let Some(file) = &self.svg {
            let title = format!("{} over {}", report.scenario, report.transport);
            let run = [("latency".to_owned(), report.clone())];
            load::plot(&run, &title, file).map_err(unwritten(file))?;
        }
        Ok(())
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Host with port, and path.
fn address(url: &str) -> Result<(String, String), String> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("ws://"));
    let Some(rest) = rest else {
        return Err(format!("{url}: only http://HOST:PORT/PATH can be loaded"));
    };
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let port = host.rsplit(':').next().is_some_and(|it| it.parse::<u16>().is_ok());
    let host = if port { host.to_owned() } else { format!("{host}:80") };
    Ok((host, path.to_owned()))
}

fn resolve(host: &str) -> Result<SocketAddr, String> {
    let mut addresses = host.to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
    addresses.next().ok_or_else(|| format!("{host}: no address"))
}

fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_prefix(match progress.phase {
        Phase::Connecting => "connecting",
        Phase::WarmingUp => "warming up",
        Phase::Measuring => "measuring",
        Phase::Draining => "draining",
    });
    bar.set_position((progress.part * 1_000.0) as u64);
    bar.set_message(format!("{} sessions, {} deliveries", progress.sessions, progress.delivered));
}

fn draw(plot: &Plot) -> Result<u8, Trouble> {
    let read = |file: &PathBuf| {
        let senseless = |what: String| (format!("{}: {what}", file.display()), SENSELESS);
        let text = fs::read_to_string(file).map_err(|error| senseless(error.to_string()))?;
        let report = serde_json::from_str(&text).map_err(|error| senseless(error.to_string()))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, report))
    };
    let runs = plot.reports.iter().map(read).collect::<Result<Vec<_>, Trouble>>()?;
    load::plot(&runs, &plot.title, &plot.svg).map_err(unwritten(&plot.svg))?;
    Ok(0)
}

fn unwritten<E: std::fmt::Display>(file: &Path) -> impl FnOnce(E) -> Trouble {
    move |error| (format!("{}: {error}", file.display()), UNWRITTEN)
}

fn print(text: &str) -> Result<(), Trouble> {
    match io::stdout().write_all(text.as_bytes()) {
        // Who has read enough need not be told.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err((format!("standard output: {error}"), UNWRITTEN))
        }
        _ => Ok(()),
    }
}
