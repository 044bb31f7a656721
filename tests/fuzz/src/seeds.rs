//! Writes the first inputs of every reader into a folder each, and says their names.

#[path = "../targets.rs"]
mod targets;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).expect("a folder for the inputs");
    for target in targets::ALL {
        let own = format!("{folder}/{}", target.name);
        std::fs::create_dir_all(&own)?;
        for (n, seed) in targets::seeds(target).iter().enumerate() {
            std::fs::write(format!("{own}/seed-{n:05}"), seed)?;
        }
        println!("{}", target.name);
    }
    Ok(())
}
