package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
)

// ofApplication are the variables that describe our application at Microsoft.
func ofApplication() []string {
	return []string{envClientID, envSecret, envCertificate, envNewSecret, envNewCertificate, envPublisher}
}

// suffix is what stands behind the names of a cloud's own variables.
func suffix(c connection.Cloud) string { return "_" + strings.ToUpper(string(c)) }

// realNames are the variables that are set and ask for a real Microsoft.
func realNames(getenv func(string) string) []string {
	names := append(ofApplication(), envRedirect, envCloud)
	for _, cloud := range connection.Clouds() {
		for _, name := range ofApplication() {
			names = append(names, name+suffix(cloud))
		}
	}
	var set []string
	for _, name := range names {
		if getenv(name) != "" {
			set = append(set, name)
		}
	}
	return set
}

// readApplications reads our application of each cloud: of MAILTRAIL_CLOUD (commercial, unless it says another) from the variables without a
// cloud's name, and of any cloud from those with it.
func readApplications(getenv func(string) string) (map[connection.Cloud]m365.Application, error) {
	all := map[connection.Cloud]m365.Application{}
	var wrong []error
	for _, cloud := range connection.Clouds() {
		if described(getenv, suffix(cloud)) {
			a, err := readApplication(getenv, suffix(cloud))
			all[cloud], wrong = a, append(wrong, err)
		}
	}
	plain, err := connection.ParseCloud(getenv(envCloud))
	if err != nil {
		return nil, errors.Join(append(wrong, fmt.Errorf("%s: %w", envCloud, err))...)
	}
	if len(all) > 0 && !described(getenv, "") && getenv(envCloud) == "" {
		return all, errors.Join(wrong...)
	}
	if _, twice := all[plain]; twice {
		wrong = append(wrong, fmt.Errorf("the application of cloud %s is described twice: by %s and by %s", plain, envClientID+suffix(plain), envClientID))
	}
	a, err := readApplication(getenv, "")
	all[plain] = a
	return all, errors.Join(append(wrong, err)...)
}

func described(getenv func(string) string, suffix string) bool {
	for _, name := range ofApplication() {
		if getenv(name+suffix) != "" {
			return true
		}
	}
	return false
}

// readApplication reads the variables with a suffix. Whether the values make sense is m365's to say.
func readApplication(getenv func(string) string, suffix string) (m365.Application, error) {
	a := m365.Application{ClientID: getenv(envClientID + suffix), Publisher: getenv(envPublisher + suffix)}
	var wrong []error
	for _, name := range []string{envClientID, envPublisher} {
		if getenv(name+suffix) == "" {
			wrong = append(wrong, fmt.Errorf("%s is missing: it is needed to talk to Microsoft", name+suffix))
		}
	}
	for _, name := range []string{envSecret, envNewSecret} {
		if secret := getenv(name + suffix); secret != "" {
			a.Credentials = append(a.Credentials, m365.Credential{Secret: secret})
		}
	}
	for _, name := range []string{envCertificate, envNewCertificate} {
		file := getenv(name + suffix)
		if file == "" {
			continue
		}
		pem, err := os.ReadFile(file)
		var certificate *m365.Certificate
		if err == nil {
			certificate, err = m365.ParseCertificate(pem)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", name+suffix, err))
			continue
		}
		a.Credentials = append(a.Credentials, m365.Credential{Certificate: certificate})
	}
	if len(a.Credentials) == 0 && len(wrong) == 0 {
		wrong = append(wrong, fmt.Errorf("%s or %s is missing: one of them is needed to talk to Microsoft", envCertificate+suffix, envSecret+suffix))
	}
	return a, errors.Join(wrong...)
}
