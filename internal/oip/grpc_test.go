package oip_test

import (
	"context"
	"encoding/json"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/assay-ml/assay/internal/oip"
	"github.com/assay-ml/assay/internal/oip/wire"
)

// dial serves the models of the fixture over gRPC and connects to them.
func dial(t testing.TB, repository oip.Repository) wire.GRPCInferenceServiceClient {
	t.Helper()
	return connect(t, &oip.Inference{Server: server(t), Version: "0.1.0", Repository: repository})
}

// connect serves over gRPC and connects to it.
func connect(t testing.TB, o *oip.Inference) wire.GRPCInferenceServiceClient {
	t.Helper()
	g := o.GRPC()
	ln := bufconn.Listen(1 << 20)
	done := make(chan error, 1)
	go func() { done <- g.Serve(ln) }()
	conn, err := grpc.NewClient("passthrough:///oip", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return ln.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return wire.NewGRPCInferenceServiceClient(conn)
}

func message(t testing.TB, text string) *wire.ModelInferRequest {
	t.Helper()
	var q wire.ModelInferRequest
	if err := protojson.Unmarshal([]byte(text), &q); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return &q
}

const twoRowsMessage = `{"modelName":"m","id":"r-1","inputs":[{"name":"age","shape":[2],"datatype":"INT64","contents":{"int64Contents":[20,70]}},` +
	`{"name":"income","shape":[2],"datatype":"FP64","contents":{"fp64Contents":[10.5,"NaN"]}},{"name":"region","shape":[2],"datatype":"BYTES","contents":{"bytesContents":["bm9ydGg=","c291dGg="]}}]}`

// TestGRPC calls every method; inference answers what REST does, raw where the request was raw.
func TestGRPC(t *testing.T) {
	cl := dial(t, nil)
	ctx := t.Context()
	check := func(name string, got proto.Message, err error, want string) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		b, _ := protojson.Marshal(got)
		var have, expected any
		_ = json.Unmarshal(b, &have)
		if json.Unmarshal([]byte(want), &expected) != nil {
			t.Fatalf("%s: %s", name, want)
		}
		if diff := cmp.Diff(expected, have); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	live, err := cl.ServerLive(ctx, &wire.ServerLiveRequest{})
	check("live", live, err, `{"live":true}`)
	ready, err := cl.ServerReady(ctx, &wire.ServerReadyRequest{})
	check("ready", ready, err, `{"ready":true}`)
	model, err := cl.ModelReady(ctx, &wire.ModelReadyRequest{Name: "m", Version: "2"})
	check("model ready", model, err, `{"ready":true}`)
	about, err := cl.ServerMetadata(ctx, &wire.ServerMetadataRequest{})
	check("server", about, err, `{"name":"assay","version":"0.1.0","extensions":["binary_tensor_data","model_repository"]}`)
	meta, err := cl.ModelMetadata(ctx, &wire.ModelMetadataRequest{Name: "price"})
	input := func(n string) string {
		return `{"name":"` + n + `","datatype":"FP64","shape":["-1"],"parameters":{"content_type":{"stringParam":"np"}}}`
	}
	check("model", meta, err, `{"name":"price","versions":["2"],"platform":"assay_onnx","inputs":[`+input("a")+`,`+input("b")+`,`+input("c")+`,`+input("d")+`],"outputs":[`+input("prediction")+`],
		"parameters":{"content_type":{"stringParam":"pd"},"version":{"stringParam":"2"},"model_digest":{"stringParam":"d1"}}}`)
	index, err := cl.RepositoryIndex(ctx, &wire.RepositoryIndexRequest{Ready: true})
	check("index", index, err, `{"models":[{"name":"flowers","version":"2","state":"READY"},{"name":"m","version":"2","state":"READY"},{"name":"price","version":"2","state":"READY"}]}`)
	if _, err := cl.RepositoryModelLoad(ctx, &wire.RepositoryModelLoadRequest{Name: "m"}); status.Code(err) != codes.Unimplemented {
		t.Errorf("load: %v", err)
	}

	_, want := infer(t, handler(t), "/v2/models/m/infer", twoRows)
	got, err := cl.ModelInfer(ctx, message(t, twoRowsMessage), grpc.UseCompressor(gzip.Name))
	if err != nil {
		t.Fatal(err)
	}
	var labels, probas []any
	for _, x := range got.GetOutputs()[0].GetContents().GetInt64Contents() {
		labels = append(labels, float64(x))
	}
	for _, x := range got.GetOutputs()[1].GetContents().GetFp64Contents() {
		probas = append(probas, x)
	}
	if got.GetId() != "r-1" || got.GetModelVersion() != "2" || !cmp.Equal(labels, want.Outputs[0].Data) || !cmp.Equal(probas, want.Outputs[1].Data) || got.GetOutputs()[1].GetParameters()["classes"].GetStringParam() != `["0","1"]` {
		t.Errorf("%v", got)
	}
	raw := message(t, twoRowsMessage)
	for i, b := range [][]byte{{20, 0, 0, 0, 0, 0, 0, 0, 70, 0, 0, 0, 0, 0, 0, 0}, floats(10.5, nan()), strs("north", "south")} {
		raw.Inputs[i].Contents = nil
		raw.RawInputContents = append(raw.RawInputContents, b)
	}
	answer, err := cl.ModelInfer(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.GetRawOutputContents()) != 2 || string(answer.GetRawOutputContents()[1]) != string(floats(got.GetOutputs()[1].GetContents().GetFp64Contents()...)) || len(answer.GetRawOutputContents()[0]) != 16 {
		t.Errorf("%v", answer)
	}
}

// TestGRPCBomb: a message that unpacks to far more than the limit is refused without being unpacked.
func TestGRPCBomb(t *testing.T) {
	q := message(t, twoRowsMessage)
	q.Inputs[2].Contents.BytesContents[0] = make([]byte, 16<<20)
	cl := dial(t, nil)
	if _, err := cl.ModelInfer(t.Context(), q, grpc.UseCompressor(gzip.Name)); status.Code(err) != codes.ResourceExhausted {
		t.Error(err)
	}
	if _, err := cl.ModelInfer(t.Context(), message(t, twoRowsMessage)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func nan() float64 { var zero float64; return zero / zero }

// TestGRPCRefusals sends what does not fit: the code, and the message that REST has.
func TestGRPCRefusals(t *testing.T) {
	cl := dial(t, nil)
	change := func(from, to string) string { return strings.Replace(twoRowsMessage, from, to, 1) }
	x := func(shape, typ, contents string) string {
		return `{"modelName":"flowers","inputs":[{"name":"x","shape":` + shape + `,"datatype":"` + typ + `"` + contents + `}]}`
	}
	for _, c := range []struct {
		name, message string
		code          codes.Code
		says          string
	}{
		{"unknown model", change(`"m"`, `"zzz"`), codes.NotFound, `model "zzz" is not served`},
		{"unknown version", change(`"m"`, `"m","modelVersion":"9"`), codes.NotFound, `version 9 of model "m" is not served`},
		{"no inputs", `{"modelName":"m"}`, codes.InvalidArgument, "the request has no inputs"},
		{"a category", change("c291dGg=", "c2VjcmV0"), codes.InvalidArgument, "row 1: region "},
		{"no UTF-8", change("c291dGg=", "/w=="), codes.InvalidArgument, "row 1: region "},
		{"INT8 overflow", change(`"INT64","contents":{"int64Contents":[20,70]}`, `"INT8","contents":{"intContents":[20,200]}`), codes.InvalidArgument, "row 1: age must be an INT8"},
		{"UINT16 overflow", change(`"INT64","contents":{"int64Contents":[20,70]}`, `"UINT16","contents":{"uintContents":[65536,7]}`), codes.InvalidArgument, "row 0: age must be a UINT16"},
		{"UINT64 beyond the schema", change(`"INT64","contents":{"int64Contents":[20,70]}`, `"UINT64","contents":{"uint64Contents":["9223372036854775808",7]}`), codes.InvalidArgument, "row 0: age "},
		{"contents of another type", change(`{"int64Contents":[20,70]}`, `{"fp64Contents":[20,70]}`), codes.InvalidArgument, `input "age" has contents of another type than INT64`},
		{"contents of two types", change(`{"int64Contents":[20,70]}`, `{"int64Contents":[20,70],"intContents":[1]}`), codes.InvalidArgument, `input "age" has contents of another type than INT64`},
		{"too few", change(`[20,70]`, `[20]`), codes.InvalidArgument, `input "age" has 1 elements, its shape wants 2`},
		{"no contents", x("[1,4]", "FP64", ""), codes.InvalidArgument, "has 0 elements, its shape wants 4"},
		{"FP16 contents", x("[1,4]", "FP16", `,"contents":{"fp32Contents":[1,2,3,4]}`), codes.InvalidArgument, "FP16 has no contents"},
		{"no datatype", x("[1,4]", "FLOAT", ""), codes.InvalidArgument, `"FLOAT" is no datatype`},
		{"no shape", x("[]", "FP64", ""), codes.InvalidArgument, "has no shape"},
		{"a negative shape", x("[-1,4]", "FP64", ""), codes.InvalidArgument, "not negative"},
		{"overflow", x("[4294967296,4294967296]", "FP64", ""), codes.InvalidArgument, "more elements than a request can hold"},
		{"raw too short", `{"rawInputContents":["AAAAAAAA8D8="],` + x("[1,4]", "FP64", "")[1:], codes.InvalidArgument, "has 8 bytes, its shape and FP64 want 32"},
		{"raw and contents", `{"rawInputContents":["AAAAAAAA8D8="],` + x("[1,1]", "FP64", `,"contents":{"fp64Contents":[1]}`)[1:], codes.InvalidArgument, "has contents, and the request has raw_input_contents"},
		{"raw for other inputs", `{"rawInputContents":["",""],` + x("[1,4]", "FP64", "")[1:], codes.InvalidArgument, "has 1 inputs and 2 raw_input_contents"},
		{"an output", `{"outputs":[{"name":"zzz"}],` + twoRowsMessage[1:], codes.InvalidArgument, `output "zzz" is none of the model's`},
		{"too large", x("[1,4]", "BYTES", `,"contents":{"bytesContents":["`+strings.Repeat("AAAA", 1<<15)+`"]}`), codes.ResourceExhausted, "larger than max"},
	} {
		_, err := cl.ModelInfer(t.Context(), message(t, c.message))
		if status.Code(err) != c.code || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := cl.ModelReady(t.Context(), &wire.ModelReadyRequest{Name: "zzz"}); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
	if _, err := cl.ModelMetadata(t.Context(), &wire.ModelMetadataRequest{Name: "m", Version: "9"}); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
}

// repository notes what it is asked.
type repository struct{ asked []string }

func (r *repository) Index(context.Context) ([]oip.Listed, error) {
	return []oip.Listed{{Name: "m", Version: 1, Reason: "not in production"}, {Name: "m", Version: 2, Ready: true}}, nil
}

func (r *repository) Load(_ context.Context, name string) error {
	r.asked = append(r.asked, "load "+name)
	return nil
}

func (r *repository) Unload(_ context.Context, name string) error {
	r.asked = append(r.asked, "unload "+name)
	return nil
}

// TestRepository finds the model where the clients of Triton and of KServe put its name.
func TestRepository(t *testing.T) {
	repo := &repository{}
	cl := dial(t, repo)
	if _, err := cl.RepositoryModelLoad(t.Context(), &wire.RepositoryModelLoadRequest{Name: "repo", ModelName: "m"}); err != nil {
		t.Error(err)
	}
	if out, err := cl.RepositoryModelUnload(t.Context(), &wire.RepositoryModelUnloadRequest{Name: "m"}); err != nil || out.GetModelName() != "m" || !out.GetIsUnloaded() {
		t.Error(out, err)
	}
	if diff := cmp.Diff([]string{"load m", "unload m"}, repo.asked); diff != "" {
		t.Error(diff)
	}
	all, err := cl.RepositoryIndex(t.Context(), &wire.RepositoryIndexRequest{})
	if err != nil || len(all.GetModels()) != 2 || all.GetModels()[0].GetState() != "UNAVAILABLE" || all.GetModels()[0].GetReason() != "not in production" {
		t.Error(all, err)
	}
}

// FuzzGRPC converts any message: it is answered or refused as the caller's fault.
func FuzzGRPC(f *testing.F) {
	cl := dial(f, nil)
	for _, s := range []string{twoRowsMessage, `{"modelName":"flowers","inputs":[{"name":"x","shape":[1,2],"datatype":"FP64"}],"rawInputContents":["AAAAAAAA8D8AAAAAAADwPw=="]}`} {
		b, err := proto.Marshal(message(f, s))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var q wire.ModelInferRequest
		if proto.Unmarshal(b, &q) != nil {
			return
		}
		if n := q.GetModelName(); n != "m" && n != "flowers" {
			q.ModelName = "price"
		}
		q.ModelVersion = ""
		_, err := cl.ModelInfer(t.Context(), &q)
		switch status.Code(err) {
		case codes.OK, codes.InvalidArgument, codes.ResourceExhausted:
		default:
			t.Error(err)
		}
	})
}

// TestGRPCHeaders: what a call may say of itself is bounded, as over HTTP, and one that says more ends alone.
func TestGRPCHeaders(t *testing.T) {
	cl := dial(t, nil)
	with := func(n int) error {
		pairs := make([]string, 0, 2*n)
		for i := range n {
			pairs = append(pairs, "x-"+strconv.Itoa(i), "y")
		}
		_, err := cl.ModelInfer(metadata.AppendToOutgoingContext(t.Context(), pairs...), message(t, twoRowsMessage))
		return err
	}
	for _, n := range []int{0, 1000} {
		if err := with(n); err != nil {
			t.Errorf("%d headers: %v", n, err)
		}
	}
	if err := with(10_000); err == nil || status.Code(err) == codes.OK {
		t.Errorf("10,000 headers: %v", err)
	}
	if err := with(0); err != nil {
		t.Errorf("after that: %v", err)
	}
}
