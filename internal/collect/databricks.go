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
	id, at, took, sampled := "CAST(databricks_request_id AS VARCHAR)", "", "0", "1"
	if have["sampling_fraction"] != "" {
		sampled = "CAST(sampling_fraction AS DOUBLE)"
	}
	if have["client_request_id"] != "" {
		id = "coalesce(nullif(CAST(client_request_id AS VARCHAR), ''), " + id + ")"
	}
	switch {
	case have["request_time"] == assay.TypeTimestamp:
		at = "epoch_us(request_time)"
	case have["timestamp_ms"] != "":
		at = "1000 * CAST(timestamp_ms AS BIGINT)"
	default:
		bad.Add("the column request_time (a timestamp) or timestamp_ms is missing")
	}
	switch {
	case have["execution_duration_ms"] != "":
		took = "CAST(execution_duration_ms AS BIGINT)"
	case have["execution_time_ms"] != "":
		took = "CAST(execution_time_ms AS BIGINT)"
	}
	if err := bad.Err(assay.Rejected, "this is not an inference table"); err != nil {
		return "", err
	}
	// A request that is there twice is asked for once: its rows must not count double.
	return fmt.Sprintf(`SELECT coalesce(%s, '') AS id, coalesce(%s, 0) AS moment, coalesce(CAST(status_code AS BIGINT), 0) AS status, coalesce(%s, 0) AS took,
		coalesce(CAST(request AS VARCHAR), '') AS request, coalesce(CAST(response AS VARCHAR), '') AS response,
		coalesce(%s, 1) AS sampled FROM %s
		QUALIFY row_number() OVER (PARTITION BY databricks_request_id ORDER BY _row) = 1 ORDER BY moment, _row`, id, at, took, sampled, relation), nil
}

// An InferenceRow is a row of an inference table.
type InferenceRow struct {
	ID                   string
	Micros, Status, Took int64 // time since 1970 in microseconds; status of HTTP; milliseconds
	Request, Response    string
	Sampled              float64 // the share of answered requests that the table was to have
}

// Exchange is the row as an exchange, or nil and why it cannot be one.
func (r *InferenceRow) Exchange() (*Exchange, string) {
	switch {
	case r.ID == "":
		return nil, "a row without an id"
	case r.Micros <= 0:
		return nil, "a row without a time"
	case strings.TrimSpace(r.Request) == "":
		return nil, "an answer without its request"
	case r.Status <= 0 || r.Status > 999:
		return nil, "a row without a status"
	}
	if !(r.Sampled >= 0 && r.Sampled <= 1) {
		return nil, "a row whose sampling_fraction is no share"
	}
	return &Exchange{
		Sampled: r.Sampled, ID: r.ID, At: time.UnixMicro(r.Micros).UTC(), Took: time.Duration(max(0, r.Took)) * time.Millisecond, Status: int(r.Status),
		Request: Body{Data: []byte(r.Request)}, Response: Body{Data: []byte(r.Response)},
	}, ""
}
