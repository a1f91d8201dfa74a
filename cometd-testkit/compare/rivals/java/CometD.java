import org.cometd.bayeux.server.BayeuxServer;
import org.cometd.server.http.JSONHttpTransport;
import org.cometd.server.http.jakarta.CometDServlet;
import org.cometd.server.websocket.jetty.JettyWebSocketTransport;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Context;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.websocket.server.WebSocketUpgradeHandler;

/** CometD's server for Java, in Jetty, with long-polling and WebSocket. */
public final class CometD {
    public static void main(String[] args) throws Exception {
        if (args.length != 2 || !args[0].equals("--listen")) {
            throw new IllegalArgumentException("it takes --listen ADDRESS:PORT");
        }
        int colon = args[1].lastIndexOf(':');
        Server server = new Server();
        ServerConnector connector = new ServerConnector(server);
        connector.setHost(args[1].substring(0, colon));
        connector.setPort(Integer.parseInt(args[1].substring(colon + 1)));
        // All clients come at once.
        connector.setAcceptQueueSize(4096);
        // Jetty's 30 s are what a connect is held for: held connections would be taken for idle.
        connector.setIdleTimeout(120_000);
        server.addConnector(connector);

        ServletContextHandler context = new ServletContextHandler("/");
        context.insertHandler(WebSocketUpgradeHandler.from(server, context));
        context.addServlet(cometd(context.getContext()), "/cometd/*");
        server.setHandler(context);

        server.start();
        System.out.printf("listening on http://%s:%d/cometd%n", connector.getHost(), connector.getLocalPort());
        server.join();
    }

    /** Requests come through a servlet, upgrades do not; the transport for these looks for the context. */
    private static ServletHolder cometd(Context context) {
        ServletHolder cometd = new ServletHolder(new CometDServlet() {
            @Override
            protected BayeuxServer newBayeuxServer() {
                BayeuxServer bayeux = super.newBayeuxServer();
                bayeux.setOption(Context.class.getName(), context);
                return bayeux;
            }
        });
        cometd.setInitParameter(
                "transports", JettyWebSocketTransport.class.getName() + "," + JSONHttpTransport.class.getName());
        cometd.setInitParameter("timeout", "30000");
        cometd.setInitParameter("ws.cometdURLMapping", "/cometd");
        // As above.
        cometd.setInitParameter("ws.idleTimeout", "120000");
        cometd.setInitOrder(1);
        return cometd;
    }
}
