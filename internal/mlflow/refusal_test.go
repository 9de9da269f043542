package mlflow_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/serve"
)

// TestRefusalsAreCounted: a content type that is not taken is counted as malformed, and every refusal tells the id of the request, also where no
// version takes it.
func TestRefusalsAreCounted(t *testing.T) {
	s, address, _ := listening(t, serve.Options{})
	for _, x := range []struct {
		path, contentType string
		want              int
	}{
		{"/invocations", "application/xml", http.StatusUnsupportedMediaType},
		{"/models/none/invocations", "application/json", http.StatusNotFound},
		{"/models/m/versions/9/invocations", "application/json", http.StatusNotFound},
	} {
		for _, id := range []string{"", "mine"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+x.path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", x.contentType)
			r.Header.Set(serve.RequestIDHeader, id)
			a, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			a.Body.Close()
			if got := a.Header.Get(serve.RequestIDHeader); a.StatusCode != x.want || got == "" || id != "" && got != id {
				t.Errorf("%s: %s, id %q", x.path, a.Status, got)
			}
		}
	}
	if n := requests(s)["malformed"]; n != 2 {
		t.Errorf("%d counted as malformed", n)
	}
}
