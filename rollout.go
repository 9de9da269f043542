package assay

// Rollout is the payload of KindRollout: what a version did beside the one in production on live traffic, as a canary that answered a
// share of the requests or as a shadow that answered nobody, and how that ended. The subject is the candidate's digest.
type Rollout struct {
	Name        string   `json:"name"`
	Version     int      `json:"version"`                // the candidate
	Mode        string   `json:"mode"`                   // canary, shadow
	Against     int      `json:"against"`                // the live version
	Live        Digest   `json:"live" names:"content"`   // its model
	Percent     float64  `json:"percent"`                // of the requests, 0–100; 0 for a shadow
	Header      string   `json:"header,omitempty"`       // by which a request chose
	Sticky      string   `json:"sticky,omitempty"`       // header:NAME or the column whose value chose
	FalseAbort  Number   `json:"false_abort"`            // bound of the chance that a canary which is no worse is ever aborted
	Answered    int64    `json:"answered"`               // requests by the candidate
	Failed      int64    `json:"failed"`                 // of them: no answer, or one that must not be passed on
	Refused     int64    `json:"refused,omitempty"`      // requests that the candidate refused: by the input schema or the wire format
	LiveAsked   int64    `json:"live_answered"`          // requests by the live version
	LiveFailed  int64    `json:"live_failed"`            // of them
	LiveRefused int64    `json:"live_refused,omitempty"` // requests that the live version refused
	Pairs       int64    `json:"pairs"`                  // requests that both evaluated
	Dropped     int64    `json:"dropped"`                // requests that were not compared for lack of room
	Rows        int64    `json:"rows"`                   // of the pairs without a failure
	Agreement   Estimate `json:"agreement"`              // share of those rows with the same class or value
	Difference  Estimate `json:"difference"`             // of the scores, candidate less live
	Failures    Estimate `json:"failure_rate"`           // of the shares of pairs that failed, candidate less live
	EValue      Number   `json:"e_value"`                // for the candidate answering less often
	Outcome     string   `json:"outcome"`                // aborted, stopped, replaced
	Reason      string   `json:"reason"`                 // in words
}
