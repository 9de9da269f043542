package assay

// Judgement is the payload of KindVerdict: a policy applied to the evidence about one model. The subject is the model's digest.
type Judgement struct {
	Policy  Digest       `json:"policy" names:"content"` // of the policy's canonical form
	Name    string       `json:"name"`
	Stage   Stage        `json:"stage"`
	Data    Digest       `json:"data" names:"content"`
	Rules   []RuleResult `json:"rules"`
	Verdict Verdict      `json:"verdict"`
}

// RuleResult is one rule of a policy, judged.
type RuleResult struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Verdict  Verdict  `json:"verdict"`
	Reason   string   `json:"reason"`
	Hint     string   `json:"hint,omitempty"` // the command that would change the answer
	Evidence []Digest `json:"evidence" names:"evidence"`
	Waived   Digest   `json:"waived,omitempty" names:"evidence"` // evidence id of the waiver
	Required bool     `json:"required"`                          // for this stage
}

// Waiver is the payload of KindWaiver: a named person answers for one rule, for one version, one stage and one policy. The subject is
// the model's digest.
type Waiver struct {
	Name    string `json:"name"`    // the registered model
	Version int    `json:"version"` // its version
	Rule    string `json:"rule"`
	Stage   Stage  `json:"stage"`
	By      string `json:"by"`
	Reason  string `json:"reason"`
	Policy  Digest `json:"policy" names:"content"`
}

// Promotion is the payload of KindPromotion: a version moved to a stage, or back. The subject is the model's digest.
type Promotion struct {
	Name     string `json:"name"`
	Version  int    `json:"version"`
	Stage    Stage  `json:"stage"`
	From     Stage  `json:"from"`
	Previous int    `json:"previous,omitempty"`                 // the version that held the stage before
	Verdict  Digest `json:"verdict,omitempty" names:"evidence"` // evidence id of the judgement; empty for a rollback
	Rollback bool   `json:"rollback,omitempty"`
}

// Card is the payload of KindCard: a model card as it was written. The subject is the model's digest.
type Card struct {
	Name       string   `json:"name"`
	Version    int      `json:"version"`
	Document   Digest   `json:"document" names:"blob"`      // blob of the Markdown
	Statements Digest   `json:"statements" names:"content"` // of what people said: the card is stale when they say something else
	Sources    []Digest `json:"sources" names:"evidence"`   // evidence ids that its figures point at
	Missing    []string `json:"missing"`                    // sections that assay.yaml or the store leaves out
	Complete   bool     `json:"complete"`
}

// CI is the payload of KindCI: one run of the checks for continuous integration. The subject is the data set's content.
type CI struct {
	Checks  []CICheck `json:"checks"`
	Verdict Verdict   `json:"verdict"`
}

// CICheck is one check of a CI run.
type CICheck struct {
	Name     string  `json:"name"`
	Verdict  Verdict `json:"verdict"`
	Message  string  `json:"message"`
	Advisory bool    `json:"advisory,omitempty"` // told, and not part of the verdict: there was nothing to check, or it was not asked for
}
