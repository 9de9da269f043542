package assay

// Run is the payload of KindRun. The subject is the digest of Spec, "what was run"; so two runs of the same specification have the
// same subject, and the same evidence id exactly when they gave the same result.
type Run struct {
	Spec        RunSpec           `json:"spec"`
	Status      string            `json:"status"` // finished, failed, killed
	Exit        int               `json:"exit"`
	Signal      string            `json:"signal,omitempty"`
	Params      map[string]string `json:"params"`
	Metrics     map[string]Number `json:"metrics"` // the last value of each
	Outputs     []File            `json:"outputs" names:"blob"`
	Model       Digest            `json:"model,omitempty" names:"blob"` // of the model file, when the run made one
	Seeded      []string          `json:"seeded"`                       // generators that were seeded
	Unseeded    []string          `json:"unseeded"`                     // generators that ran without a seed, or could not be seeded
	Environment Environment       `json:"environment"`
	Missing     []string          `json:"missing"`                           // what stands between this run and its repetition: dirty_tree, unpinned_package, …
	Score       float64           `json:"score"`                             // reproducibility, 0–1: the weighted share of what is not missing
	Problems    []string          `json:"problems,omitempty"`                // what went wrong besides the exit status: an unreadable metrics.json, …
	SealedRows  int64             `json:"sealed_rows"`                       // of the rows it was given, how many an earlier split had sealed
	RawData     *RawData          `json:"raw_data,omitempty"`                // whether the raw data, and so the sealed labels, were read beside what was handed over
	Amends      Digest            `json:"amends,omitempty" names:"evidence"` // evidence id of the finished run that this record adds to
}

// RawData is what was seen of the files that a data set was read from while a run's command ran. A command is given the parts of a split
// and needs no raw file; one that opens it can see the labels of the sealed test set.
type RawData struct {
	Watched string   `json:"watched"` // system: every opening is seen; python: only what Python opens itself; empty: nobody watched
	Opened  []string `json:"opened"`  // names of the raw files that were opened, sorted
}

// RunSpec is everything that a run was given.
type RunSpec struct {
	Command []string          `json:"command"`             // or ["assay","train",LEARNER] for a built-in learner
	Config  Digest            `json:"config" names:"blob"` // of the experiment's part of assay.yaml, canonical
	Seed    uint64            `json:"seed"`
	Inputs  map[string]Digest `json:"inputs" names:"content"` // data content, split, part files
	Code    Source            `json:"code"`
}

// Source says which source was run.
type Source struct {
	Commit string `json:"commit,omitempty"`                 // empty outside a git work tree
	Dirty  Digest `json:"dirty,omitempty" names:"manifest"` // of the uncommitted difference; empty for a clean tree
}

// Environment is what a run could see of the machine and the packages. Secrets are redacted before they get here.
type Environment struct {
	Platform    string            `json:"platform"` // linux/amd64
	CPU         string            `json:"cpu"`
	Threads     int               `json:"threads"`
	GPU         []string          `json:"gpu,omitempty"`
	Interpreter string            `json:"interpreter,omitempty"`       // "CPython 3.11.7"
	Packages    map[string]string `json:"packages,omitempty"`          // name to exact version
	Lock        Digest            `json:"lock,omitempty" names:"blob"` // blob of the lock file
	Variables   map[string]string `json:"variables,omitempty"`
}

// Reproduction is the payload of KindReproduction: a run that was run again. The subject is the run's.
type Reproduction struct {
	Run         Digest       `json:"run" names:"evidence"`
	Identical   bool         `json:"identical"`
	Differences []Difference `json:"differences"`
	Cause       string       `json:"cause,omitempty"` // threads, unseeded_generator, time, network, input, environment, unknown; several with a comma between them
	Verdict     Verdict      `json:"verdict"`
}

// Difference is one thing that came out otherwise the second time.
type Difference struct {
	What   string `json:"what"` // "output model.onnx", "metric roc_auc_score"
	First  string `json:"first"`
	Second string `json:"second"`
}

// Search is the payload of KindSearch: a hyper-parameter search. The subject is the digest of its specification.
type Search struct {
	Sampler   string            `json:"sampler"`
	Pruner    string            `json:"pruner"`
	Seed      uint64            `json:"seed"`
	Metric    string            `json:"metric"`
	Direction string            `json:"direction"`
	Trials    []Trial           `json:"trials"`
	Best      map[string]string `json:"best"`
	BestScore Estimate          `json:"best_score"`
}

// Trial is one point of a search.
type Trial struct {
	Number int               `json:"number"`
	Params map[string]string `json:"params"`
	State  string            `json:"state"` // complete, pruned, failed
	Value  Number            `json:"value"`
}

// Model is the payload of KindModel: a model file and how to call it. The subject is the digest of the file.
type Model struct {
	Format   string   `json:"format"` // onnx, xgboost, lightgbm, mlflow, predictions
	Learner  string   `json:"learner"`
	Flavour  string   `json:"flavour,omitempty"`   // of an MLflow directory, the one that is evaluated: onnx, xgboost, lightgbm, python_function
	Signed   string   `json:"signature,omitempty"` // of an MLflow directory, what its signature lists: columns, tensors, none
	Task     Task     `json:"task"`
	Target   string   `json:"target"`
	Inputs   []Field  `json:"inputs"`
	Classes  []string `json:"classes,omitempty"` // in the order of the probability columns
	Positive string   `json:"positive,omitempty"`
	Run      Digest   `json:"run" names:"evidence"`   // evidence id of the run that made it
	Data     Digest   `json:"data" names:"content"`   // content of the data set
	Split    Digest   `json:"split" names:"evidence"` // evidence id of the split
	File     File     `json:"file" names:"blob"`
}
