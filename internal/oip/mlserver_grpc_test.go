package oip_test

import (
	"encoding/json"
	"os"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/assay-ml/assay/internal/oip"
	"github.com/assay-ml/assay/internal/oip/wire"
)

// stricterOverGRPC are calls that MLServer answers and Assay refuses, each with the reason.
var stricterOverGRPC = map[string]string{
	"raw and contents together":   "the protocol forbids it: nobody knows which of the two is meant",
	"contents of the wrong field": "the numbers are of another type than the tensor says",
}

// TestMLServerGRPC sends the recorded calls: what MLServer answers, Assay answers in the same form, and what MLServer refuses, or fails at,
// Assay refuses as the caller's fault. Differences are listed above.
func TestMLServerGRPC(t *testing.T) {
	b, err := os.ReadFile("testdata/mlserver_grpc.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Cases []struct {
			ID, What string
			Request  struct {
				Method  string
				Message json.RawMessage
			}
			Response struct {
				Code    string
				Message json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(b, &table); err != nil || len(table.Cases) != 22 {
		t.Fatalf("%d cases: %v", len(table.Cases), err)
	}
	cl := connect(t, &oip.Inference{Server: likeMLServer(t), Version: "test"})
	versions := map[string]string{"v1": "1", "v9": "9"} // versions of Assay are numbers
	for _, c := range table.Cases {
		t.Run(c.ID+" "+c.What, func(t *testing.T) {
			read := func(m proto.Message) {
				if err := protojson.Unmarshal(c.Request.Message, m); err != nil {
					t.Fatal(err)
				}
			}
			theirs := func(m proto.Message) {
				if err := protojson.Unmarshal(c.Response.Message, m); err != nil {
					t.Fatal(err)
				}
			}
			ok := c.Response.Code == "OK" && stricterOverGRPC[c.What] == ""
			var err error
			switch c.Request.Method {
			case "ServerLive":
				var got *wire.ServerLiveResponse
				if got, err = cl.ServerLive(t.Context(), &wire.ServerLiveRequest{}); !got.GetLive() {
					t.Error(got)
				}
			case "ServerReady":
				var got *wire.ServerReadyResponse
				if got, err = cl.ServerReady(t.Context(), &wire.ServerReadyRequest{}); !got.GetReady() {
					t.Error(got)
				}
			case "ModelReady":
				q := &wire.ModelReadyRequest{}
				read(q)
				var got *wire.ModelReadyResponse
				if got, err = cl.ModelReady(t.Context(), q); ok && !got.GetReady() {
					t.Error(got)
				}
			case "ServerMetadata":
				_, err = cl.ServerMetadata(t.Context(), &wire.ServerMetadataRequest{})
			case "ModelMetadata":
				q, want := &wire.ModelMetadataRequest{}, &wire.ModelMetadataResponse{}
				read(q)
				q.Version = versions[q.Version]
				var got *wire.ModelMetadataResponse
				if got, err = cl.ModelMetadata(t.Context(), q); ok {
					theirs(want)
					sameInputs(t, want, got)
				}
			case "RepositoryIndex":
				var got *wire.RepositoryIndexResponse
				if got, err = cl.RepositoryIndex(t.Context(), &wire.RepositoryIndexRequest{}); len(got.GetModels()) != 3 {
					t.Error(got)
				}
			case "ModelInfer":
				q, want := &wire.ModelInferRequest{}, &wire.ModelInferResponse{}
				read(q)
				q.ModelVersion = versions[q.ModelVersion]
				var got *wire.ModelInferResponse
				if got, err = cl.ModelInfer(t.Context(), q); ok && err == nil {
					theirs(want)
					sameAnswer(t, len(q.GetOutputs()) > 0, want, got)
				}
			default:
				t.Fatalf("no method %s", c.Request.Method)
			}
			if ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if code := status.Code(err); code != codes.InvalidArgument && code != codes.NotFound || c.Response.Code == "NOT_FOUND" && code != codes.NotFound {
				t.Errorf("%v; MLServer %s", err, c.Response.Code)
			}
		})
	}
}

// sameInputs holds that what a model says of its inputs has their names and kinds; MLServer's widths are those of the signature, Assay's
// those of the schema.
func sameInputs(t *testing.T, want, got *wire.ModelMetadataResponse) {
	t.Helper()
	if got.GetName() != want.GetName() {
		t.Errorf("named %s", got.GetName())
	}
	for i, w := range want.GetInputs() {
		if i >= len(got.GetInputs()) || got.GetInputs()[i].GetName() != w.GetName() || got.GetInputs()[i].GetDatatype()[:2] != w.GetDatatype()[:2] {
			t.Errorf("input %d is not %s %s: %v", i, w.GetName(), w.GetDatatype(), got.GetInputs())
		}
	}
}

// sameAnswer compares answers in all but the values, which are another model's.
func sameAnswer(t *testing.T, named bool, want, got *wire.ModelInferResponse) {
	t.Helper()
	if got.GetModelName() != want.GetModelName() || got.GetId() != want.GetId() || got.GetModelVersion() != "1" || (len(got.GetRawOutputContents()) > 0) != (len(want.GetRawOutputContents()) > 0) {
		t.Errorf("%v", got)
	}
	for i, w := range want.GetOutputs() {
		if i >= len(got.GetOutputs()) {
			t.Fatalf("%d outputs", len(got.GetOutputs()))
		}
		g := got.GetOutputs()[i]
		if g.GetDatatype() != w.GetDatatype() || g.GetShape()[0] != w.GetShape()[0] || named && g.GetName() != w.GetName() ||
			g.GetParameters()["content_type"].GetStringParam() != w.GetParameters()["content_type"].GetStringParam() {
			t.Errorf("output %d is %v; MLServer's %v", i, g, w)
		}
		if len(g.GetContents().GetInt64Contents()) != len(w.GetContents().GetInt64Contents()) || len(g.GetContents().GetFp64Contents()) != len(w.GetContents().GetFp64Contents()) {
			t.Errorf("output %d: %v; MLServer's %v", i, g.GetContents(), w.GetContents())
		}
	}
	for i, w := range want.GetRawOutputContents() {
		if len(got.GetRawOutputContents()[i]) != len(w) {
			t.Errorf("raw output %d has %d bytes; MLServer's %d", i, len(got.GetRawOutputContents()[i]), len(w))
		}
	}
}
