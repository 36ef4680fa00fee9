package operator_test

import (
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/local/operator"
)

// reaches reports whether a command reaches whoever listens on a folder's socket.
func reaches(t *testing.T, dir string) bool {
	t.Helper()
	desk, err := operator.Open(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return false
	}
	defer desk.Close()
	var said string
	return desk.Running && desk.Ask(t.Context(), http.MethodGet, "/", nil, &said) == nil && said == "here"
}

func answer(t *testing.T, l net.Listener) {
	t.Helper()
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`"here"`)) }),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // it ends when the server is closed
	}()
	t.Cleanup(func() { _ = server.Close(); <-ended })
}

// TestASocketIsForItsOwnerAlone, however long the path of its data folder is, and gone when it is closed.
func TestASocketIsForItsOwnerAlone(t *testing.T) {
	for name, folder := range map[string]string{"short": "data", "long": strings.Repeat("long-", 40)} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", short(t))
			dir := filepath.Join(short(t), folder)
			l, err := operator.Listen(dir)
			if err != nil {
				t.Fatal(err)
			}
			answer(t, l)
			file := l.Addr().String()
			if inside := strings.HasPrefix(file, dir); inside != (name == "short") {
				t.Errorf("the socket is %s", file)
			}
			for of, want := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700, filepath.Join(dir, "run"): 0o700} {
				if info, err := os.Stat(of); err != nil || info.Mode().Perm() != want {
					t.Errorf("%s: %v, %v; want %o", of, info.Mode(), err, want)
				}
			}
			if !reaches(t, dir) {
				t.Error("nobody is reached")
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(file); err == nil || reaches(t, dir) {
				t.Errorf("the socket is there after it was closed: %v", err)
			}
			if name == "long" {
				if _, err := os.Stat(filepath.Dir(file)); err == nil {
					t.Errorf("it leaves %s", filepath.Dir(file))
				}
			}
		})
	}
}

// short is a temporary folder whose path leaves room for a socket, which t.TempDir's need not.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "mt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// TestASocketThatACrashLeftIsReplaced, and until then nobody is taken for running.
func TestASocketThatACrashLeftIsReplaced(t *testing.T) {
	dir := short(t)
	if err := os.MkdirAll(filepath.Join(dir, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	left, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, "run", "socket")})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "run", "address"), []byte("/nowhere"), 0o600); err != nil {
		t.Fatal(err)
	}
	if reaches(t, dir) {
		t.Error("a socket without anybody is taken for Mailtrail")
	}
	l, err := operator.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	answer(t, l)
	if !reaches(t, dir) {
		t.Error("nobody is reached")
	}
	if info, err := os.Stat(filepath.Join(dir, "run")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of the socket: %v, %v", info.Mode(), err)
	}
}
