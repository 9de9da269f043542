package assay

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A Code classifies an error for every edge at once: the exit status, the HTTP status and the MLflow code follow from it.
type Code string

const (
	Invalid         Code = "invalid"         // the request itself is wrong: a flag, a file's syntax, a type
	Rejected        Code = "rejected"        // the request was understood and the answer is no: a check failed
	Unauthenticated Code = "unauthenticated" // who is asking is not known
	Forbidden       Code = "forbidden"       // who is asking may not
	NotFound        Code = "not_found"       // the named thing does not exist
	Exists          Code = "exists"          // the named thing exists already, and differs
	Refused         Code = "refused"         // a rule of Assay forbids it: the gate, the seal, a compare-and-set
	Unavailable     Code = "unavailable"     // a resource cannot be had now: a full disk, a locked store
	Unimplemented   Code = "unimplemented"   // known, and not supported by this build
	Internal        Code = "internal"        // a fault of Assay itself
)

// CodeInfo is one row of the error table.
type CodeInfo struct {
	Code    Code
	HTTP    int    // the status of an HTTP answer
	Exit    int    // the status of the process
	MLflow  string // error_code in MLflow's REST answers
	Meaning string
}

// Codes returns the error table, in the order of the documentation. The caller owns the slice.
func Codes() []CodeInfo {
	return []CodeInfo{
		{Invalid, 400, 2, "INVALID_PARAMETER_VALUE", "asked wrongly: a flag, a name, a file's syntax or a type"},
		{Rejected, 422, 3, "INVALID_PARAMETER_VALUE", "worked, and the answer is no: a check or a comparison failed"},
		{Unauthenticated, 401, 1, "UNAUTHENTICATED", "who is asking is not known"},
		{Forbidden, 403, 1, "PERMISSION_DENIED", "who is asking may not do this"},
		{NotFound, 404, 1, "RESOURCE_DOES_NOT_EXIST", "the named thing does not exist"},
		{Exists, 409, 1, "RESOURCE_ALREADY_EXISTS", "the named thing exists already and is different"},
		{Refused, 409, 3, "INVALID_STATE", "a rule forbids it: the gate, the seal, a compare-and-set"},
		{Unavailable, 503, 1, "TEMPORARILY_UNAVAILABLE", "a resource cannot be had now: a full disk, a locked store"},
		{Unimplemented, 501, 1, "NOT_IMPLEMENTED", "known, and not supported by this build"},
		{Internal, 500, 1, "INTERNAL_ERROR", "a fault of Assay itself; please report it"},
	}
}

// Info returns the row of the error table for c; an unknown code is answered as Internal.
func (c Code) Info() CodeInfo {
	rows := Codes()
	for _, r := range rows {
		if r.Code == c {
			return r
		}
	}
	return rows[len(rows)-1]
}

// Error is the only error type that reaches an edge. Msg is safe to show anyone: it names the thing and the value in lower case,
// and never holds a row's content, a secret or a path of a server. Hint is the next command to run.
type Error struct {
	Code Code
	Msg  string
	Hint string
	Err  error // the cause, for logs and errors.Is; not shown
}

// Errorf makes an error of the given code. A %w verb keeps the cause for errors.Is and errors.As.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Msg: err.Error(), Err: errors.Unwrap(err)}
}

// Try returns a copy of e whose hint is the given command line or sentence.
func (e *Error) Try(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

func (e *Error) Error() string { return e.Msg }
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of err: that of the outermost *Error in its chain, Unavailable for a cancelled or expired context,
// Internal for anything else, and "" for nil.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Unavailable
	}
	return Internal
}

// HintOf returns the hint of the outermost *Error in err's chain that has one.
func HintOf(err error) string {
	var e *Error
	for errors.As(err, &e) {
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}

// ExitStatus returns the status with which a process that ends in err should exit: 0 for nil.
func ExitStatus(err error) int {
	if err == nil {
		return 0
	}
	return CodeOf(err).Info().Exit
}

// Problems collects every violation of one request, so that a caller hears of all of them and not of the first.
type Problems []string

// Add appends a problem.
func (p *Problems) Add(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

// Err returns nil without problems, and otherwise one error of the given code that lists them all after the heading.
func (p Problems) Err(code Code, heading string) error {
	switch len(p) {
	case 0:
		return nil
	case 1:
		return Errorf(code, "%s: %s", heading, p[0])
	}
	return Errorf(code, "%s: %d problems\n  - %s", heading, len(p), strings.Join(p, "\n  - "))
}

// ErrTry is Err with a hint.
func (p Problems) ErrTry(code Code, heading, hint string) error {
	var e *Error
	if errors.As(p.Err(code, heading), &e) {
		return e.Try("%s", hint)
	}
	return nil
}
