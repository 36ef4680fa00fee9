package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is the version of this source, and the newest one that CHANGELOG.md describes: a test holds the two together.
const release = "0.2.0"

// commit is what the source was built from. The Makefile sets it; without it the build information of Go is asked.
var commit string //nolint:gochecknoglobals // set by the linker

// version is what `mailtrail version` prints: 0.2.0 (1f2e3d4c5b6a), go1.26.0, linux/amd64.
func version() string {
	text := release
	if built := builtFrom(); built != "" {
		text += " (" + built + ")"
	}
	return fmt.Sprintf("%s, %s, %s/%s", text, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func builtFrom() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	revision := settings["vcs.revision"]
	if len(revision) > 12 {
		revision = revision[:12]
	}
	if settings["vcs.modified"] == "true" {
		revision += "+changes"
	}
	return revision
}
