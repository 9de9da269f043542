package table

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go-bindings"

	"github.com/assay-ml/assay"
)

// interruptOn interrupts the connection's statement when ctx ends, until the returned function is called.
func (c *conn) interruptOn(ctx context.Context) func() {
	if ctx.Done() == nil {
		return func() {}
	}
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-done:
			return
		case <-ctx.Done():
		}
		// An interrupt that comes before the statement has begun is lost, so it is repeated.
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			duckdb.Interrupt(c.c)
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	return func() { close(done); <-stopped }
}

// Rows is the answer to a query. Read it with Next and Scan, ask Err at the end, and Close it always.
type Rows struct {
	ctx     context.Context
	engine  *Engine
	conn    *conn
	stop    func()
	stmt    duckdb.PreparedStatement
	result  duckdb.Result
	columns []string
	types   []duckdb.Type
	chunk   duckdb.DataChunk
	vectors []vector
	size    int
	at      int
	err     error
	closed  bool
}

// query runs one SELECT (or statement of another kind if any is true) and streams its rows.
func (e *Engine) query(ctx context.Context, sql string, args ...any) (*Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := e.explained(ctx, sql, args...); err != nil {
		return nil, err
	}
	e.statements.Add(1)
	return e.run(ctx, sql, args...)
}

func (e *Engine) run(ctx context.Context, sql string, args ...any) (*Rows, error) {
	c, err := e.conn()
	if err != nil {
		return nil, err
	}
	r := &Rows{ctx: ctx, engine: e, conn: c, stop: c.interruptOn(ctx), at: -1}
	if duckdb.Prepare(c.c, sql, &r.stmt) == duckdb.StateError {
		err := translate(ctx, duckdb.PrepareError(r.stmt))
		r.Close()
		return nil, err
	}
	switch duckdb.PreparedStatementType(r.stmt) {
	case duckdb.StatementTypeSelect, duckdb.StatementTypeExplain:
	default:
		r.Close()
		return nil, assay.Errorf(assay.Invalid, "a query reads: only SELECT is allowed")
	}
	if n := int(duckdb.NParams(r.stmt)); n != len(args) {
		r.Close()
		return nil, assay.Errorf(assay.Invalid, "a query has %d parameters but %d arguments", n, len(args))
	}
	for i, a := range args {
		if err := bind(r.stmt, i+1, a); err != nil {
			r.Close()
			return nil, err
		}
	}
	if duckdb.ExecutePreparedStreaming(r.stmt, &r.result) == duckdb.StateError {
		err := translate(ctx, duckdb.ResultError(&r.result))
		r.Close()
		return nil, err
	}
	n := int(duckdb.ColumnCount(&r.result))
	r.columns, r.types = make([]string, n), make([]duckdb.Type, n)
	for i := range n {
		r.columns[i] = duckdb.ColumnName(&r.result, duckdb.IdxT(i))
		r.types[i] = duckdb.ColumnType(&r.result, duckdb.IdxT(i))
	}
	return r, nil
}

func bind(stmt duckdb.PreparedStatement, i int, a any) error {
	at := duckdb.IdxT(i)
	var state duckdb.State
	switch a := a.(type) {
	case nil:
		state = duckdb.BindNull(stmt, at)
	case bool:
		state = duckdb.BindBoolean(stmt, at, a)
	case int:
		state = duckdb.BindInt64(stmt, at, int64(a))
	case int32:
		state = duckdb.BindInt32(stmt, at, a)
	case int64:
		state = duckdb.BindInt64(stmt, at, a)
	case float64:
		state = duckdb.BindDouble(stmt, at, a)
	case string:
		state = duckdb.BindVarcharLength(stmt, at, a, duckdb.IdxT(len(a)))
	case []byte:
		state = duckdb.BindBlob(stmt, at, a)
	case time.Time:
		state = duckdb.BindTimestamp(stmt, at, duckdb.NewTimestamp(a.UTC().UnixMicro()))
	default:
		return assay.Errorf(assay.Invalid, "argument %d of a query has the type %T, which cannot be passed", i, a)
	}
	if state == duckdb.StateError {
		return assay.Errorf(assay.Invalid, "argument %d of a query cannot be passed", i)
	}
	return nil
}

// Columns returns the names of the columns.
func (r *Rows) Columns() []string { return r.columns }

// nextChunk makes the next batch of rows current. It returns false at the end and on an error.
func (r *Rows) nextChunk() bool {
	if r.closed || r.err != nil {
		return false
	}
	duckdb.DestroyDataChunk(&r.chunk)
	if r.err = r.ctx.Err(); r.err != nil {
		return false
	}
	r.chunk = duckdb.FetchChunk(r.result)
	if r.chunk.Ptr == nil {
		r.size = 0
		if msg := duckdb.ResultError(&r.result); msg != "" {
			r.err = translate(r.ctx, msg)
		}
		return false
	}
	r.size = int(duckdb.DataChunkGetSize(r.chunk))
	if r.vectors == nil {
		r.vectors = make([]vector, len(r.columns))
	}
	for i := range r.vectors {
		r.vectors[i].reset(duckdb.DataChunkGetVector(r.chunk, duckdb.IdxT(i)))
	}
	return r.size > 0
}

// Next makes the next row current. It returns false at the end and on an error.
func (r *Rows) Next() bool {
	r.at++
	for r.at >= r.size {
		if !r.nextChunk() {
			return false
		}
		r.at = 0
	}
	return true
}

// Scan copies the current row. A destination is *bool, *int, *int64, *float64, *string, *[]byte, *time.Time, *any, or a pointer to a
// pointer to one of the first seven, which becomes nil for a missing value. A missing value scanned into *float64 is NaN, into *any
// nil, and into anything else an error. Integers beyond 64 bits come as *big.Int into *any and as decimal text into *string; lists come
// as []any. A number scans into *float64 from every numeric type, and into *int64 only if nothing is lost.
func (r *Rows) Scan(dest ...any) error {
	if r.at < 0 || r.at >= r.size {
		return assay.Errorf(assay.Internal, "a row is scanned before Next or after the last one")
	}
	if len(dest) != len(r.columns) {
		return assay.Errorf(assay.Internal, "a row has %d columns but %d destinations", len(r.columns), len(dest))
	}
	for i, d := range dest {
		v, err := r.vectors[i].value(r.at)
		if err != nil {
			return err
		}
		if err := assign(d, v); err != nil {
			return assay.Errorf(assay.Internal, "column %s of a query: %w", r.columns[i], err)
		}
	}
	return nil
}

// assign stores v, which vector.value made, into d.
func assign(d, v any) error {
	if v == nil {
		switch d := d.(type) {
		case *any:
			*d = nil
		case *float64:
			*d = math.NaN()
		case **bool:
			*d = nil
		case **int:
			*d = nil
		case **int64:
			*d = nil
		case **float64:
			*d = nil
		case **string:
			*d = nil
		case **[]byte:
			*d = nil
		case **time.Time:
			*d = nil
		default:
			return fmt.Errorf("a missing value does not fit %T", d)
		}
		return nil
	}
	ok := true
	switch d := d.(type) {
	case *any:
		*d = v
	case *bool:
		*d, ok = v.(bool)
	case *int:
		var n int64
		n, ok = toInt(v)
		*d = int(n)
	case *int64:
		*d, ok = toInt(v)
	case *float64:
		*d, ok = toFloat(v)
	case *string:
		*d, ok = toText(v)
	case *[]byte:
		*d, ok = v.([]byte)
	case *time.Time:
		*d, ok = v.(time.Time)
	case **bool:
		*d = new(bool)
		return assign(*d, v)
	case **int:
		*d = new(int)
		return assign(*d, v)
	case **int64:
		*d = new(int64)
		return assign(*d, v)
	case **float64:
		*d = new(float64)
		return assign(*d, v)
	case **string:
		*d = new(string)
		return assign(*d, v)
	case **[]byte:
		*d = new([]byte)
		return assign(*d, v)
	case **time.Time:
		*d = new(time.Time)
		return assign(*d, v)
	default:
		ok = false
	}
	if !ok {
		return fmt.Errorf("a value of type %T does not fit %T", v, d)
	}
	return nil
}

func toInt(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case *big.Int:
		return v.Int64(), v.IsInt64()
	case decimal:
		f := v.float()
		return int64(f), f == math.Trunc(f) && math.Abs(f) < 1<<53
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	}
	return 0, false
}

func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f, true
	case decimal:
		return v.float(), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

func toText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case *big.Int:
		return v.String(), true
	case decimal:
		return v.String(), true
	}
	return "", false
}

// Err returns the error that ended the rows, if any.
func (r *Rows) Err() error { return r.err }

// Close releases the query. It may be called more than once, and returns what Err does.
func (r *Rows) Close() error {
	if r.closed {
		return r.err
	}
	r.closed = true
	r.at, r.size = -1, 0
	duckdb.DestroyDataChunk(&r.chunk)
	duckdb.DestroyResult(&r.result)
	duckdb.DestroyPrepare(&r.stmt)
	r.stop()
	r.engine.release(r.conn)
	return r.err
}

// queryRow runs a query of one row and scans it.
func (e *Engine) queryRow(ctx context.Context, sql string, dest ...any) error {
	r, err := e.query(ctx, sql)
	if err != nil {
		return err
	}
	defer r.Close()
	if !r.Next() {
		if r.err != nil {
			return r.err
		}
		return assay.Errorf(assay.Internal, "a query that answers one row answered none")
	}
	return r.Scan(dest...)
}

// A decimal is an exact number with a fixed number of decimals.
type decimal struct {
	unscaled *big.Int
	scale    int
}

func (d decimal) String() string {
	s := new(big.Int).Abs(d.unscaled).String()
	if d.scale > 0 {
		if len(s) <= d.scale {
			s = strings.Repeat("0", d.scale-len(s)+1) + s
		}
		s = s[:len(s)-d.scale] + "." + s[len(s)-d.scale:]
	}
	if d.unscaled.Sign() < 0 {
		s = "-" + s
	}
	return s
}

// float returns the nearest float64.
func (d decimal) float() float64 {
	f, _ := new(big.Rat).SetFrac(d.unscaled, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.scale)), nil)).Float64()
	return f
}
