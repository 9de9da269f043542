package oip_test

import (
	"encoding/json"
	"net/http"
	"testing"
)

// TestOpenAPI reads the document of each model and sends the example that it gives: it is answered as the document says.
func TestOpenAPI(t *testing.T) {
	h := handler(t)
	for _, m := range []string{"m", "flowers", "price"} {
		for _, path := range []string{"/v2/models/" + m, "/v2/models/" + m + "/versions/2"} {
			w := send(t, h, http.MethodGet, path+"/openapi.json", nil)
			var d struct {
				OpenAPI string
				Paths   map[string]struct {
					Post struct {
						RequestBody struct {
							Content map[string]struct{ Example json.RawMessage }
						}
						Responses map[string]struct {
							Content map[string]struct{ Example json.RawMessage }
						}
					}
				}
				Components struct {
					Schemas struct {
						Row struct{ Properties map[string]any }
					}
				}
			}
			if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != 200 || d.OpenAPI != "3.1.0" || len(d.Components.Schemas.Row.Properties) == 0 {
				t.Fatalf("%s: %d %s", path, w.Code, w.Body)
			}
			for _, more := range []string{"/v1/models/" + m, "/v2/repository/models/" + m + "/load", "/v2/repository/models/" + m + "/unload"} {
				if _, ok := d.Paths[more]; !ok {
					t.Errorf("%s: no %s", path, more)
				}
			}
			scoring := d.Paths["/invocations"].Post
			if _, ok := scoring.RequestBody.Content["text/csv"]; !ok || scoring.Responses["415"].Content["text/plain"].Example != nil || len(scoring.Responses["415"].Content) != 1 || len(scoring.Responses["403"].Content) != 1 {
				t.Errorf("%s: %+v", path, scoring)
			}
			post := d.Paths[path+"/infer"].Post
			got := send(t, h, http.MethodPost, path+"/infer", post.RequestBody.Content["application/json"].Example)
			if want := post.Responses["200"].Content["application/json"].Example; got.Code != 200 || got.Body.String() != string(want) {
				t.Errorf("%s: %d %s, the document says %s", path, got.Code, got.Body, want)
			}
		}
	}
	if w := send(t, h, http.MethodGet, "/v2/models/nope/openapi.json", nil); w.Code != 404 {
		t.Errorf("%d", w.Code)
	}
}
