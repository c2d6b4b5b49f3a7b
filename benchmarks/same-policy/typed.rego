# Style (c): style (b), and a type for every field that it reads. rego-cpp has no `json.match_schema`, so by hand.
package gate

import rego.v1

default permitted := false

permitted if {
	allow
	well_typed
}

well_typed if {
	every field in ["upper", "planned_at", "version", "demonstrations", "samples", "scored", "correct"] {
		is_number(input.evaluation[field])
	}
	every field in ["subject", "task", "metric", "unit", "elicitation"] {
		is_string(input.evaluation[field])
	}
	every field in ["signers", "plan_signers"] {
		is_array(input.evaluation[field])
	}
	is_boolean(input.evaluation.withdrawn)
	is_number(input.now)
	is_string(input.model)
	is_number(input.overdue_plans)
	is_string(input.audit.name)
	is_string(input.audit.about)
	is_array(input.audit.signers)
	is_number(input.audit.at)
	is_boolean(input.audit.withdrawn)
}
