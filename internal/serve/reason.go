package serve

import (
	"encoding/csv"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/assay-ml/assay"
)

// Why a call ended as it did, beyond its outcome: what the log has as _reason.
const (
	becauseContentType = "content_type"        // malformed: neither JSON nor CSV
	becauseEncoding    = "encoding"            // malformed: it cannot be decompressed as its Content-Encoding says
	becauseSize        = "size"                // malformed: the body is too large
	becauseBody        = "body"                // malformed: the body cannot be read to its end
	becauseJSON        = "json"                // malformed: it is no JSON
	becauseCSV         = "csv"                 // malformed: it is no CSV
	becauseRows        = "rows"                // malformed: too many rows, or none
	becauseDuplicate   = "duplicate"           // malformed: a row has a name twice
	becauseProtocol    = "protocol"            // malformed: anything else that is not of the protocol
	becauseInvalid     = "invalid"             // refused, or answered by the fallback: rows do not fit the input schema
	becauseOutlier     = "out_of_distribution" // refused, or answered by the fallback
	becauseModel       = "model"               // refused: the model itself cannot take the rows
	becauseEngine      = "engine"              // failed, or answered by the fallback: the model had no answer
	becauseOutput      = "output"              // failed, or answered by the fallback: the answer does not fit the output schema
	becauseBusy        = "busy"                // shed: too many requests wait
	becauseMemory      = "memory"              // shed: bodies take all the memory that they may
	becauseTimeout     = "timeout"             // shed: the time was over
	becauseUnavailable = "unavailable"         // shed: the engine cannot answer now
	becauseGone        = "gone"                // cancelled
)

// Reasons are all that _reason may say.
var Reasons = []string{
	becauseContentType, becauseEncoding, becauseSize, becauseBody, becauseJSON, becauseCSV, becauseRows, becauseDuplicate, becauseProtocol, becauseInvalid, becauseOutlier,
	becauseModel, becauseEngine, becauseOutput, becauseBusy, becauseMemory, becauseTimeout, becauseUnavailable, becauseGone,
}

// reason says why the call ended as it did; "" for an answer of the model's, and for what another server decided.
func (c *Call) reason() string {
	switch {
	case c.Outcome == Answered && !c.Fallback:
		return ""
	case c.why != "":
		return c.why
	case c.observed:
		return ""
	}
	switch c.Outcome {
	case Malformed:
		return c.malformed()
	case Refused:
		return becauseModel
	case Failed:
		return becauseEngine
	case Cancelled:
		return becauseGone
	case Shed:
		switch c.Err {
		case error(errBusy):
			return becauseBusy
		case error(errFull):
			return becauseMemory
		case error(errLate):
			return becauseTimeout
		}
		if answered := answerStatus(0); errors.As(c.Err, &answered) && answered == http.StatusGatewayTimeout {
			return becauseTimeout
		}
		return becauseUnavailable
	}
	return ""
}

// malformed says what of the request is not as the protocol asks for.
func (c *Call) malformed() string {
	answered := answerStatus(0)
	switch {
	case errors.As(c.Err, &answered) && answered == http.StatusUnsupportedMediaType:
		return becauseContentType
	case TooLarge(c.Err):
		return becauseSize
	case errors.As(c.Err, &errRows{}):
		return becauseRows
	case c.Reader.Err() != nil && !c.Reader.Mismatched():
		return becauseJSON
	case errors.Is(c.Err, csv.ErrQuote), errors.Is(c.Err, csv.ErrBareQuote), errors.Is(c.Err, csv.ErrFieldCount):
		return becauseCSV
	}
	return becauseProtocol
}

// WrongType is the error of a content type that an edge does not take: the edge answers 415.
func WrongType(text string) error {
	return assay.Errorf(assay.Invalid, "%s%w", text, error(answerStatus(http.StatusUnsupportedMediaType)))
}

// status is the HTTP status that the caller got, or its like where the wire is another one; 0 where another server answered and did not say.
func (c *Call) status() int {
	switch {
	case c.observed:
		return c.Status
	case c.Err != nil:
		return Status(c.Err)
	}
	return http.StatusOK
}

// maxFault is how many bytes of a fault the log has.
const maxFault = 500

// noteFault keeps what was wrong with the model, for the log, under an id that the caller is told where he gets no answer. Errors of engines and of
// the output check hold nothing of the rows.
func (c *Call) noteFault(why string, fault error) {
	c.why, c.Incident = why, c.server.id()
	c.fault = strings.ToValidUTF8(fault.Error()[:min(len(fault.Error()), maxFault)], "")
}

// An Incident is a model that failed, or an answer of it that was withheld. Nothing of it is of a row.
type Incident struct {
	ID       string // that the caller was told, where he got no answer, and that the log has
	At       time.Time
	Model    string
	Version  int
	Edge     string
	Request  string // its id
	Trace    string // of W3C; empty without one
	Status   int    // of HTTP, or its like; 200 where the declared answer took the place of the model's
	Reason   string // engine or output
	Fault    string // what was wrong
	Fallback bool   // the declared answer was given
}

// incident is what is told of a call that has one.
func (c *Call) incident() Incident {
	return Incident{
		ID: c.Incident, At: c.At, Model: c.bound.Name, Version: c.bound.Number, Edge: c.Edge, Request: c.ID, Trace: c.Trace, Status: c.status(), Reason: c.reason(), Fault: c.fault, Fallback: c.Fallback,
	}
}

// Fault says what was wrong with the model or its answer; "" where nothing was. Nothing of it is of a row.
func (c *Call) Fault() string { return c.fault }

// twice is the error of rows that have a name two times, of which nobody knows which is meant; nil where none has.
func (c *Call) twice() error {
	found := slices.DeleteFunc(slices.Clone(c.Found), notTwice)
	if len(found) == 0 {
		return nil
	}
	c.why = becauseDuplicate
	return assay.Errorf(assay.Invalid, "the request has names twice: %s", told(found))
}
