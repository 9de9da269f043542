package table

import (
	"context"
	"errors"
	"strings"

	"github.com/assay-ml/assay"
)

// translate turns a message of DuckDB into an error that is safe to show. DuckDB quotes values of rows in its messages, so of the
// message only its class and, where that is certain to be a name, the name are kept.
func translate(ctx context.Context, msg string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	class, rest, _ := strings.Cut(msg, ":")
	rest, _, _ = strings.Cut(rest, "\n")
	rest = strings.TrimSpace(rest)
	switch strings.TrimSpace(class) {
	case "Out of Memory Error":
		return assay.Errorf(assay.Unavailable, "the memory limit is too small for this query").Try("a larger --memory")
	case "IO Error":
		if strings.Contains(rest, "No space left") || strings.Contains(rest, "max_temp_directory_size") {
			return assay.Errorf(assay.Unavailable, "the disk of the temporary directory is full").Try("set TMPDIR to a directory with free space")
		}
		return assay.Errorf(assay.Unavailable, "the table engine could not read or write a file")
	case "Permission Error":
		return assay.Errorf(assay.Forbidden, "queries cannot reach files, the network or extensions")
	case "Catalog Error", "Binder Error", "Parser Error":
		// These are found before a row is read, so the names in them come from the query. Literals of the query may be data.
		if name, ok := quoted(rest); ok {
			return assay.Errorf(assay.Invalid, "a query has a fault (%s) near %q", strings.ToLower(strings.TrimSpace(class)), name)
		}
		return assay.Errorf(assay.Invalid, "a query has a fault (%s)", strings.ToLower(strings.TrimSpace(class)))
	case "Conversion Error":
		return assay.Errorf(assay.Invalid, "a value cannot be converted to the type that the query asks for")
	case "Out of Range Error":
		return assay.Errorf(assay.Invalid, "a value is out of the range of its type")
	case "Invalid Input Error":
		if strings.Contains(rest, "configuration has been locked") {
			return assay.Errorf(assay.Forbidden, "queries cannot change the configuration")
		}
		return assay.Errorf(assay.Invalid, "a query has an input that cannot be used")
	case "INTERRUPT Error":
		return assay.Errorf(assay.Unavailable, "the query was interrupted")
	}
	return assay.Errorf(assay.Internal, "the table engine failed (%s)", strings.ToLower(strings.TrimSpace(class)))
}

// quoted returns the identifier that a binder or catalog message names, as in: column "x" not found.
func quoted(msg string) (string, bool) {
	_, rest, ok := strings.Cut(msg, `column "`)
	if !ok {
		return "", false
	}
	name, _, ok := strings.Cut(rest, `"`)
	return name, ok
}

// asError finds an *assay.Error in err's chain.
func asError(err error, e **assay.Error) bool { return errors.As(err, e) }
