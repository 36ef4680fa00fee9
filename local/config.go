package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
	"github.com/mailtrail/mailtrail/shared/settings"
)

// config is what the environment says, read once.
type config struct {
	settings.Settings
	microsoft *m365.Config // nil: simulate
}

func readConfig(environ []string) (config, error) {
	s, wrong := settings.Read(settings.Machine, environ)
	c := config{Settings: s}
	if !s.Real() {
		return c, wrong
	}
	c.Data = cmp.Or(c.Data, filepath.Join("data", "microsoft"))
	c.microsoft = &m365.Config{
		Applications: map[connection.Cloud]m365.Application{}, Endpoints: map[connection.Cloud]m365.Endpoints{},
	}
	endpoints, err := m365.ParseEndpoints(cmp.Or(s.Endpoints, "{}"))
	if err != nil {
		wrong = errors.Join(wrong, fmt.Errorf("%s: %w", settings.Endpoints, err))
	}
	for cloud, described := range s.Applications {
		application, err := applicationOf(described)
		c.microsoft.Applications[cloud], c.microsoft.Endpoints[cloud] = application, endpoints[cloud]
		wrong = errors.Join(wrong, err)
	}
	return c, wrong
}

// applicationOf is an application with its certificates read. The order is the one in which Microsoft is asked.
func applicationOf(described settings.Application) (m365.Application, error) {
	a := m365.Application{ClientID: described.ClientID, Publisher: described.Publisher}
	for _, secret := range described.Secrets {
		a.Credentials = append(a.Credentials, m365.Credential{Secret: secret})
	}
	var wrong []error
	for _, file := range described.Certificates {
		pem, err := os.ReadFile(file.Value)
		var certificate *m365.Certificate
		if err == nil {
			certificate, err = m365.ParseCertificate(pem)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", file.Name, err))
			continue
		}
		a.Credentials = append(a.Credentials, m365.Credential{Certificate: certificate})
	}
	return a, errors.Join(wrong...)
}
