package main

import (
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// TestVersionIsTheNewestOfTheChangelog holds the constant and the page for users together.
func TestVersionIsTheNewestOfTheChangelog(t *testing.T) {
	page, err := os.ReadFile("../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	newest := regexp.MustCompile(`(?m)^## (\d+\.\d+\.\d+)`).FindSubmatch(page)
	if newest == nil || string(newest[1]) != release {
		t.Errorf("CHANGELOG.md begins with %q, and the code says that it is %s", newest, release)
	}
}

func TestVersionNamesReleaseCommitAndPlatform(t *testing.T) {
	defer func(before string) { commit = before }(commit)
	commit = "1f2e3d4c5b6a"
	want := release + " (1f2e3d4c5b6a), " + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH
	if got := version(); got != want {
		t.Errorf("version is %q, want %q", got, want)
	}
	commit = ""
	if got := version(); !strings.HasPrefix(got, release) {
		t.Errorf("without a commit the version is %q", got)
	}
}
