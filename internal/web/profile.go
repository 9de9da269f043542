package web

import (
	"io"

	"github.com/assay-ml/assay/internal/dataset"
)

// ProfileReport writes a profile as one HTML file. Its size does not depend on the number of rows.
func ProfileReport(w io.Writer, name string, r *dataset.ProfileReport, f Footer) error {
	return render(w, "profile.html", "Can "+name+" be trusted?", f, profilePage{Title: "Can " + name + " be trusted?", R: r})
}

type profilePage struct {
	Title string
	R     *dataset.ProfileReport
}
