// The counter cache that httpfastcache replaces, written anew from what the article tells of it and how its binary was
// seen to behave. Its faults are its own, and kept: it is what the tests and the benchmark compare with.
//
// With Debian's golang-go and golang-github-patrickmn-go-cache-dev:
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go build -o /tmp/counter-cache main.go
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/patrickmn/go-cache"
)

// Config is the configuration file. Names match in any case, and others are ignored, as encoding/json does.
type Config struct {
	HostPort   string
	Stacosys   string
	CorsOrigin string
}

var (
	config Config
	counts = cache.New(5*time.Minute, 10*time.Minute)
)

func main() {
	file := flag.String("config", "", "the configuration, JSON")
	flag.Parse()
	if *file == "" {
		die("Usage: %s --config FILE", os.Args[0])
	}
	text, err := os.ReadFile(*file)
	if err != nil {
		die("File error: %v", err)
	}
	fmt.Printf("config: %s\n", text)

	// A fault: broken JSON goes unnoticed, and the settings stay empty.
	json.Unmarshal(text, &config)

	http.HandleFunc("/comments/count", commentsCount)

	// Another: why it cannot listen is not told, and the status is 0.
	http.ListenAndServe(config.HostPort, nil)
}

func commentsCount(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Access-Control-Allow-Origin", config.CorsOrigin)

	target := r.URL.String()
	if body, found := counts.Get(target); found {
		w.Write(body.([]byte))
		return
	}

	// Readers who miss at the same time each ask, and wait as long as Stacosys takes.
	body, err := ask(target)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	counts.SetDefault(target, body)
	w.Write(body)
}

// ask returns the body of whatever Stacosys answers; its status, type and size are not looked at.
func ask(target string) ([]byte, error) {
	response, err := http.Get(config.Stacosys + target)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

func die(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}
