package collect

import (
	"fmt"
	"strings"
	"time"

	"github.com/assay-ml/assay"
)

// InferenceTable returns the SELECT that reads an inference table of Databricks in the order of time as the fields of an InferenceRow.
// It has the older columns (databricks_request_id, timestamp_ms, status_code, execution_time_ms) or those of the AI Gateway
// (request_time, execution_duration_ms). Errors are Rejected and name every column that is missing.
func InferenceTable(fields []assay.Field, relation string) (string, error) {
	have := map[string]assay.Type{}
	for _, f := range fields {
		have[f.Name] = f.Type
	}
	var bad assay.Problems
	for _, name := range []string{"databricks_request_id", "request", "response", "status_code"} {
		if have[name] == "" {
			bad.Add("the column %s is missing", name)
		}
	}
	const event = "nullif(CAST(databricks_request_id AS VARCHAR), '')"
	id, at, took, sampled := event, "", "0", "1.0"
	if have["sampling_fraction"] != "" {
		sampled = "CASE WHEN sampling_fraction IS NULL THEN 1 ELSE coalesce(TRY_CAST(sampling_fraction AS DOUBLE), 0) END"
	}
	if have["client_request_id"] != "" {
		id = "coalesce(nullif(CAST(client_request_id AS VARCHAR), ''), " + id + ")"
	}
	switch {
	case have["request_time"] == assay.TypeTimestamp:
		at = "epoch_us(request_time)"
	case have["timestamp_ms"] != "":
		at = "CASE WHEN TRY_CAST(timestamp_ms AS BIGINT) BETWEEN 1 AND 253402300799999 THEN 1000 * TRY_CAST(timestamp_ms AS BIGINT) END" // to the year 9999
	default:
		bad.Add("the column request_time (a timestamp) or timestamp_ms is missing")
	}
	switch {
	case have["execution_duration_ms"] != "":
		took = "TRY_CAST(execution_duration_ms AS BIGINT)"
	case have["execution_time_ms"] != "":
		took = "TRY_CAST(execution_time_ms AS BIGINT)"
	}
	if err := bad.Err(assay.Rejected, "this is not an inference table"); err != nil {
		return "", err
	}
	// Rows without an id are not the same request. What cannot be read is 0, which no row may have.
	return fmt.Sprintf(`SELECT coalesce(%s, '') AS id, coalesce(%s, '') AS event, coalesce(%s, 0)::BIGINT AS moment, coalesce(TRY_CAST(status_code AS BIGINT), 0) AS status, coalesce(%s, 0)::BIGINT AS took,
		coalesce(CAST(request AS VARCHAR), '') AS request, coalesce(CAST(response AS VARCHAR), '') AS response, (%s)::DOUBLE AS sampled, _row + 1 AS number,
		%s IS NOT NULL AND row_number() OVER (PARTITION BY databricks_request_id ORDER BY _row) > 1 AS again FROM %s ORDER BY moment, _row`, id, event, at, took, sampled, event, relation), nil
}

// An InferenceRow is a row of an inference table.
type InferenceRow struct {
	ID, Event            string // the caller's id, or that of the table; that of the table
	Micros, Status, Took int64  // time since 1970 in microseconds; status of HTTP; milliseconds
	Request, Response    string
	Sampled              float64 // the share of answered requests that the table was to have
	Number               int64   // of the row in the table, from 1
	Again                bool    // an earlier row of the table has its databricks_request_id
}

// Exchange is the row as an exchange, or nil and why it cannot be one.
func (r *InferenceRow) Exchange() (*Exchange, string) {
	switch {
	case r.Event == "":
		return nil, "a row without databricks_request_id"
	case r.Again:
		return nil, ReasonRepeated
	case r.Micros <= 0:
		return nil, "a row without a time"
	case strings.TrimSpace(r.Request) == "":
		return nil, "an answer without its request"
	case r.Status <= 0 || r.Status > 999:
		return nil, "a row without a status"
	}
	if !(r.Sampled > 0 && r.Sampled <= 1) {
		return nil, "a row whose sampling_fraction is not above 0 and at most 1"
	}
	return &Exchange{
		Sampled: r.Sampled, ID: r.ID, Event: r.Event, At: time.UnixMicro(r.Micros).UTC(), Took: time.Duration(max(0, r.Took)) * time.Millisecond, Status: int(r.Status),
		Request: Body{Data: []byte(r.Request)}, Response: Body{Data: []byte(r.Response)},
	}, ""
}
