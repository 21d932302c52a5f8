//! Histories that failed once, shrunk: because of a bug that has been fixed, or with the code broken on purpose. Each
//! of them runs with every property trial.

use anyhow::{Context as _, Result};

use super::Op;

/// A history that failed once.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What it showed.
    pub name: &'static str,
    /// Its steps, as a failing trial prints them.
    ops: &'static str,
}

impl Case {
    /// Its steps.
    pub fn ops(&self) -> Result<Vec<Op>> {
        serde_json::from_str(self.ops).with_context(|| self.name)
    }
}

/// All of them.
pub const CASES: &[Case] = &[
    Case {
        name: "replicas of what an autoscaler scales that goes with the plan are those of the moment",
        ops: r#"[{"sort":"Deployment","n":0,"act":"Apply","salt":10109395355841720756},{"sort":"ConfigMap","n":9,"act":"Moment","salt":9161888237453427187},{"sort":"Deployment","n":0,"act":"Put","salt":657929138603767838},{"sort":"HorizontalPodAutoscaler","n":0,"act":"Put","salt":15102631498754772166}]"#,
    },
    Case {
        name: "node ports are those of the moment, also where the server had chosen them",
        ops: r#"[{"sort":"Service","n":1,"act":"ClientApply","salt":6758467444755681200},{"sort":"ConfigMap","n":9,"act":"Moment","salt":7732220296445469338},{"sort":"Service","n":1,"act":"Put","salt":3027872731410236539}]"#,
    },
    Case {
        name: "an undo gives an owner back by the uid that stands",
        ops: r#"[{"sort":"ConfigMap","n":0,"act":"Create","salt":15760223352756562032},{"sort":"Shop","n":1,"act":"Put","salt":16207687594171319939},{"sort":"ConfigMap","n":9,"act":"Moment","salt":18209028726062609930},{"sort":"ConfigMap","n":0,"act":"Own","salt":17968185132778830607}]"#,
    },
];
