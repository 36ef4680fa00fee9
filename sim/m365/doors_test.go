package m365sim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

func TestDoorsOpenAndClose(t *testing.T) {
	s := m365sim.New(m365sim.Options{Key: testKey()})
	doors, err := s.Start(t.Context(), "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for name, address := range map[string]string{"protocol": doors.Login + "/common/discovery/v2.0/keys",
		"control": doors.Control + "/"} {
		response, err := http.Get(address)
		if err != nil || response.StatusCode != 200 {
			t.Fatalf("the %s door: %v %v", name, response, err)
		}
		response.Body.Close()
	}
	if !strings.HasSuffix(doors.Manage, "/manage") || !strings.HasSuffix(doors.Graph, "/graph") {
		t.Errorf("roots: %+v", doors)
	}
	if _, err := s.Start(t.Context(), strings.TrimSuffix(strings.TrimPrefix(doors.Login, "http://"), "/login"),
		"127.0.0.1:0"); err == nil {
		t.Error("one address was opened twice")
	}
	if err := doors.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if response, err := http.Get(doors.Control); err == nil {
		response.Body.Close()
		t.Error("the control door is still open")
	}
}

func TestClosingEndsRequestsThatHang(t *testing.T) {
	s := m365sim.New(m365sim.Options{Key: testKey()})
	doors, err := s.Start(t.Context(), "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Fault(m365sim.Fault{Hang: true, Times: 1})
	ended := make(chan error)
	go func() {
		response, err := http.PostForm(doors.Login+"/common/login", nil)
		if err == nil {
			err = response.Body.Close()
		}
		ended <- err
	}()
	for deadline := time.Now().Add(10 * time.Second); len(s.Faults()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the request never came")
		}
	}
	if err := doors.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("a hanging request was answered")
	}
}
