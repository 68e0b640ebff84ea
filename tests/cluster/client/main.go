// Command apiget is the API client inside the test pods: it reads the token and
// the CA where client-go's in-cluster configuration reads them and asks the API
// server of the environment. busybox's own TLS has no handshake in common with
// the API server, and client-go would make the image ten times as large.
//
// It prints the status code on the first line and the body after it, and exits
// 0 on 2xx, 1 on any other answer, 3 without one.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const whoami = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

func main() {
	mount := flag.String("mount", "/var/run/secrets/kubernetes.io/serviceaccount", "folder of token and ca.crt")
	token := flag.String("token", "", "token file, when it is not the one in the mount")
	server := flag.String("server", "", "https://host:port, when it is not that of the environment")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: apiget [flags] PATH | whoami")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if *token == "" {
		*token = filepath.Join(*mount, "token")
	}
	if *server == "" {
		host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
		if host == "" || port == "" {
			fail(fmt.Errorf("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be set"))
		}
		*server = "https://" + net.JoinHostPort(host, port)
	}
	code, body, err := ask(*server, flag.Arg(0), *token, filepath.Join(*mount, "ca.crt"))
	if err != nil {
		fail(err)
	}
	fmt.Printf("%d\n%s\n", code, strings.TrimSpace(body))
	if code < 200 || code > 299 {
		os.Exit(1)
	}
}

func ask(server, path, tokenFile, caFile string) (int, string, error) {
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		return 0, "", err
	}
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return 0, "", err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return 0, "", fmt.Errorf("%s: no certificate in it", caFile)
	}
	method, body := http.MethodGet, ""
	if path == "whoami" {
		method, path = http.MethodPost, whoami
		body = `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`
	}
	request, err := http.NewRequest(method, server+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	client := http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, string(answer), err
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "apiget: %v\n", err)
	os.Exit(3)
}
