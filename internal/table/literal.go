package table

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Literal quotes a value for SQL: nil, bool, any integer, float32, float64, string, []byte and time.Time (as a UTC timestamp with
// microseconds). A value of any other type is written as text by fmt. NUL bytes cannot be part of SQL and are written with chr(0).
func Literal(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return fmt.Sprint(v)
	case float32:
		return floatLiteral(float64(v))
	case float64:
		return floatLiteral(v)
	case []byte:
		return "from_hex('" + hex.EncodeToString(v) + "')"
	case time.Time:
		return "TIMESTAMP '" + v.UTC().Format("2006-01-02 15:04:05.999999") + "'"
	case string:
		return textLiteral(v)
	}
	return textLiteral(fmt.Sprint(v))
}

func floatLiteral(v float64) string {
	switch {
	case math.IsNaN(v):
		return "'nan'::DOUBLE"
	case math.IsInf(v, 1):
		return "'inf'::DOUBLE"
	case math.IsInf(v, -1):
		return "'-inf'::DOUBLE"
	}
	return strconv.FormatFloat(v, 'e', -1, 64) + "::DOUBLE"
}

func textLiteral(s string) string {
	s = strings.ReplaceAll(s, "'", "''")
	if !strings.Contains(s, "\x00") {
		return "'" + s + "'"
	}
	return "('" + strings.ReplaceAll(s, "\x00", "'||chr(0)||'") + "')"
}
