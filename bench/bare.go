//go:build ignore

// Bare is the floor of bench/serve.sh: Go's own HTTP server, which reads a request and answers with so many bytes. What it takes is the
// machine, the load generator and the protocol; it computes, checks and keeps nothing. Usage: bare ADDRESS BYTES.
package main

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
)

func main() {
	n, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	reply := bytes.Repeat([]byte("0"), n)
	log.Fatal(http.ListenAndServe(os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(reply)))
		_, _ = w.Write(reply)
	})))
}
