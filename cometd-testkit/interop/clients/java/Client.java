// Drives CometD's Java client; see remote.mjs for what it reads and writes.

import jakarta.websocket.ContainerProvider;
import jakarta.websocket.WebSocketContainer;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.cometd.bayeux.Channel;
import org.cometd.bayeux.Message;
import org.cometd.bayeux.client.ClientSession;
import org.cometd.bayeux.client.ClientSessionChannel;
import org.cometd.client.BayeuxClient;
import org.cometd.client.ext.AckExtension;
import org.cometd.client.ext.TimesyncClientExtension;
import org.cometd.client.http.jetty.JettyHttpClientTransport;
import org.cometd.client.transport.ClientTransport;
import org.cometd.client.websocket.jakarta.WebSocketTransport;
import org.eclipse.jetty.client.HttpClient;
import org.eclipse.jetty.util.ajax.JSON;

public class Client {
    private static final JSON json = new JSON();
    private static final Map<Object, Client> clients = new ConcurrentHashMap<>();
    private static HttpClient http;
    private static WebSocketContainer sockets;

    public static void main(String[] args) throws Exception {
        http = new HttpClient();
        http.start();
        sockets = ContainerProvider.getWebSocketContainer();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            @SuppressWarnings("unchecked")
            Map<String, Object> call = (Map<String, Object>)json.fromJSON(line);
            try {
                Object number = call.get("client");
                if ("open".equals(call.get("do"))) {
                    clients.put(number, new Client(number, call));
                } else {
                    clients.get(number).perform(call);
                }
            } catch (Exception x) {
                say("call", call.get("call"), "error", x.toString());
            }
        }
        // Its threads would keep the process alive.
        System.exit(0);
    }

    private static synchronized void say(Object... fields) {
        Map<String, Object> line = new HashMap<>();
        for (int i = 0; i < fields.length; i += 2) {
            line.put((String)fields[i], fields[i + 1]);
        }
        // Jetty's JSON escapes all that is not ASCII.
        System.out.println(json.toJSON(line));
        System.out.flush();
    }

    private static void settle(Object call, Message reply) {
        if (reply.isSuccessful()) {
            say("call", call, "result", null);
        } else {
            Object error = reply.get(Message.ERROR_FIELD);
            say("call", call, "error", String.valueOf(error == null ? reply.get("failure") : error));
        }
    }

    private final Map<String, ClientSessionChannel.MessageListener> subscriptions = new ConcurrentHashMap<>();
    private final TimesyncClientExtension timesync = new TimesyncClientExtension();
    private final Object number;
    private final BayeuxClient client;

    private Client(Object number, Map<String, Object> call) {
        this.number = number;
        Map<String, Object> options = new HashMap<>();
        ClientTransport transport = "websocket".equals(call.get("transport"))
            ? new WebSocketTransport(options, null, sockets)
            : new JettyHttpClientTransport(options, http);
        client = new BayeuxClient((String)call.get("url"), transport);
        // The pauses before it tries again; they would be of seconds.
        client.setBackOffStrategy(new BayeuxClient.BackOffStrategy.Constant(100));
        for (Object ext : (Object[])call.get("ext")) {
            client.addExtension("ack".equals(ext) ? new AckExtension() : timesync);
        }
        client.getChannel("/service/**").addListener((ClientSessionChannel.MessageListener)this::hear);
        // A new session has no subscriptions: the application restores them, and this is the place for that.
        client.getChannel(Channel.META_HANDSHAKE).addListener((ClientSessionChannel.MessageListener)(channel, reply) -> {
            if (reply.isSuccessful()) {
                subscriptions.forEach((name, listener) -> client.getChannel(name).subscribe(listener));
            }
        });
        client.getChannel(Channel.META_DISCONNECT).addListener((ClientSessionChannel.MessageListener)(channel, message) -> {
            if (message.getId() == null) {
                say("client", number, "over", "disconnected by the server");
            }
        });
        AtomicBoolean connected = new AtomicBoolean();
        client.getChannel(Channel.META_CONNECT).addListener((ClientSessionChannel.MessageListener)(channel, reply) -> {
            if (connected.compareAndSet(false, true)) {
                settle(call.get("call"), reply);
            }
        });
        client.handshake(reply -> {
            if (!reply.isSuccessful() && connected.compareAndSet(false, true)) {
                settle(call.get("call"), reply);
            }
        });
    }

    private void hear(ClientSessionChannel channel, Message message) {
        if (!message.isPublishReply()) {
            say("client", number, "channel", message.getChannel(), "data", message.getData());
        }
    }

    private void perform(Map<String, Object> request) {
        Object call = request.get("call");
        String name = (String)request.get("channel");
        ClientSessionChannel channel = name == null ? null : client.getChannel(name);
        ClientSession.MessageListener done = reply -> settle(call, reply);
        switch ((String)request.get("do")) {
            case "subscribe" -> {
                ClientSessionChannel.MessageListener listener = this::hear;
                channel.subscribe(listener, reply -> {
                    if (reply.isSuccessful()) {
                        subscriptions.put(name, listener);
                    }
                    settle(call, reply);
                });
            }
            case "unsubscribe" -> channel.unsubscribe(subscriptions.remove(name), done);
            case "publish" -> channel.publish(request.get("data"), done);
            case "batch" -> {
                Object[] all = (Object[])request.get("data");
                AtomicInteger open = new AtomicInteger(all.length);
                client.batch(() -> {
                    for (Object data : all) {
                        channel.publish(data, reply -> {
                            if (open.decrementAndGet() == 0) {
                                settle(call, reply);
                            }
                        });
                    }
                });
            }
            case "call" -> client.remoteCall((String)request.get("target"), request.get("data"), reply ->
                say("call", call, reply.isSuccessful() ? "result" : "error", reply.getData()));
            case "clock" -> say("call", call, "result", Map.of("offset", timesync.getOffset(), "lag", timesync.getLag()));
            case "close" -> {
                if (client.isDisconnected()) {
                    say("call", call, "result", null);
                } else {
                    client.disconnect(done);
                }
            }
            default -> throw new IllegalArgumentException("do what?");
        }
    }
}
