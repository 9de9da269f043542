package assay

// Serving is the payload of KindServing: which checks stand before and behind a model, and that a few predictions went through them as
// they should. The subject is the model's digest.
type Serving struct {
	Data      Digest   `json:"data" names:"content"`     // of the data set that the model learned from
	Engine    string   `json:"engine"`                   // what evaluates the model: assay, onnxruntime with its version, python_function, upstream
	Input     Contract `json:"input"`                    // what a request must fit
	Output    Contract `json:"output"`                   // what an answer must fit
	Reference Digest   `json:"reference" names:"blob"`   // summaries of training rows that a request is held against: its distance is told per request
	OnInvalid string   `json:"on_invalid"`               // what becomes of a request that does not fit: reject, fallback
	OnOutlier string   `json:"on_out_of_distribution"`   // what becomes of a request far from the reference: reject, fallback, flag
	Threshold Number   `json:"threshold,omitempty"`      // of the positive probability, from which a row is answered as positive, as the version was evaluated; absent: the class is the model's own
	Coerce    string   `json:"coerce,omitempty"`         // mlflow: lossy casts are made and counted; empty: they are refused
	Fallback  string   `json:"fallback,omitempty"`       // what is answered instead, as a JSON object: label, probabilities, value, rule
	Outliers  Number   `json:"outlier_share"`            // share of ordinary rows that may count as far from the reference
	Smoke     []Smoke  `json:"smoke"`                    // in the order in which they ran
	Problems  []string `json:"problems"`                 // what keeps the model from being served, in words
	Notes     []string `json:"notes,omitempty"`          // what to know of a model that is served nevertheless, in words
	Settings  Digest   `json:"settings" names:"content"` // of the project's serving settings, canonical
	Tolerance Number   `json:"tolerance"`                // largest relative difference between a served and an offline score
	Verdict   Verdict  `json:"verdict"`                  // pass: nothing is missing and every smoke prediction came out as it should
}

// Contract is the schema of one side of a model as it is bound to a version.
type Contract struct {
	Schema      Digest `json:"schema" names:"content"` // of the schema's canonical JSON
	Document    Digest `json:"document" names:"blob"`  // the schema itself
	Columns     int    `json:"columns"`
	Constraints int    `json:"constraints"`
}

// Smoke is one request that was sent through the whole serving path before a version may take traffic: rows that must be answered, and
// broken ones that must be refused.
type Smoke struct {
	Name       string  `json:"name"`                   // held_out, single_row, batch, missing_column, wrong_type, out_of_range, …
	Rows       int64   `json:"rows"`                   // that were sent
	Input      Digest  `json:"input" names:"content"`  // of the request's rows
	Output     Digest  `json:"output" names:"content"` // of the answer's rows; empty when it was refused
	Expect     string  `json:"expect"`                 // answer, refusal
	Answered   int64   `json:"answered"`               // rows
	Refused    int64   `json:"refused"`                // rows
	Difference Number  `json:"difference"`             // largest relative difference to the offline scores; null where there are none
	Verdict    Verdict `json:"verdict"`
	Message    string  `json:"message,omitempty"` // why it did not pass; never a value of the data
}
