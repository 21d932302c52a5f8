//! Writes what the targets begin with: `corpus/<target>/<n>`.
#[path = "../../src/fuzz.rs"]
#[allow(dead_code)]
mod fuzz;

fn main() -> std::io::Result<()> {
    for (name, _) in fuzz::TARGETS {
        let folder = format!("{}/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::create_dir_all(&folder)?;
        for (n, seed) in fuzz::seeds(name).into_iter().enumerate() {
            std::fs::write(format!("{folder}/seed-{n}"), seed)?;
        }
    }
    Ok(())
}
