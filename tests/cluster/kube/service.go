package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

// service stands in for kube-proxy, for the one Service that every pod is told
// about: it listens on the cluster IP of "kubernetes", which the starter has
// made an address of this machine, and forwards to the API server. A pod in a
// network of its own gets there by its default route, with the environment
// that the kubelet gives it.
func service(args []string) int {
	if len(args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: kube service LISTEN_ADDRESS:PORT TO_ADDRESS:PORT")
		return 2
	}
	listener, err := net.Listen("tcp", args[0])
	if err != nil {
		fmt.Fprintf(os.Stderr, "service: %v\n", err)
		return 1
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			fmt.Fprintf(os.Stderr, "service: %v\n", err)
			return 1
		}
		go forward(client, args[1])
	}
}

func forward(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		fmt.Fprintf(os.Stderr, "service: %v\n", err)
		return
	}
	defer server.Close()
	go func() {
		io.Copy(server, client)
		server.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(client, server)
}
