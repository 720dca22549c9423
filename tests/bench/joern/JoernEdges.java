// Writes what Joern 2.0.25 makes of a folder of sources: one JSON line a method, with its nodes in pre-order of the syntax
// tree and the edges between them. REACHING_DEF is the raw data flow, DDG what Joern's own graph for printing makes of it.
// Usage: java JoernEdges.java java|python FOLDER OUT.jsonl

import io.joern.dataflowengineoss.DefaultSemantics$;
import io.joern.dataflowengineoss.dotgenerator.DdgGenerator;
import io.joern.dataflowengineoss.layers.dataflows.OssDataFlow;
import io.joern.dataflowengineoss.layers.dataflows.OssDataFlowOptions;
import io.joern.dataflowengineoss.semanticsloader.Semantics;
import io.joern.x2cpg.X2Cpg;
import io.shiftleft.codepropertygraph.generated.Cpg;
import io.shiftleft.codepropertygraph.generated.nodes.Method;
import io.shiftleft.semanticcpg.dotgenerator.DotSerializer;
import io.shiftleft.semanticcpg.layers.LayerCreatorContext;
import java.io.PrintWriter;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import overflowdb.Edge;
import overflowdb.Node;
import scala.Option;
import scala.util.Try;

public class JoernEdges {
    static final List<String> KINDS = List.of("AST", "ARGUMENT", "REF", "CFG", "CDG", "REACHING_DEF");
    /** Definitions a method may have before Joern leaves out its data flow: its own default. */
    static final int MAX_DEFINITIONS = 4000;

    static Try<?> create(String language, String folder) {
        if (language.equals("java")) {
            return new io.joern.javasrc2cpg.JavaSrc2Cpg().createCpg(folder, Option.empty(),
                new io.joern.javasrc2cpg.Config(
                    io.joern.javasrc2cpg.Config.$lessinit$greater$default$1(), false,
                    io.joern.javasrc2cpg.Config.$lessinit$greater$default$3(),
                    io.joern.javasrc2cpg.Config.$lessinit$greater$default$4(),
                    io.joern.javasrc2cpg.Config.$lessinit$greater$default$5(), false, false,
                    io.joern.javasrc2cpg.Config.$lessinit$greater$default$8(), false));
        }
        return new io.joern.pysrc2cpg.Py2CpgOnFileSystem().createCpg(folder, Option.empty(),
            new io.joern.pysrc2cpg.Py2CpgOnFileSystemConfig(
                io.joern.pysrc2cpg.Py2CpgOnFileSystemConfig.$lessinit$greater$default$1(), true, true,
                io.joern.pysrc2cpg.Py2CpgOnFileSystemConfig.$lessinit$greater$default$4()));
    }

    static String quoted(Object value) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : String.valueOf(value).toCharArray()) {
            switch (c) {
                case '"': out.append("\\\""); break;
                case '\\': out.append("\\\\"); break;
                case '\n': out.append("\\n"); break;
                default:
                    if (c < ' ') out.append(String.format("\\u%04x", (int) c)); else out.append(c);
            }
        }
        return out.append('"').toString();
    }

    static List<Node> children(Node node) {
        List<Node> found = new ArrayList<>();
        node.out("AST").forEachRemaining(found::add);
        found.sort((a, b) -> Integer.compare(number(a, "ORDER"), number(b, "ORDER")));
        return found;
    }

    static int number(Node node, String key) {
        Object value = node.property(key);
        return value instanceof Integer ? (Integer) value : -1;
    }

    static String text(Node node, String key) {
        Object value = node.property(key);
        return value == null ? "" : value.toString();
    }

    static String line(Method method, Semantics semantics) {
        List<Node> nodes = new ArrayList<>();
        Map<Node, Integer> ids = new HashMap<>();
        Deque<Node> stack = new ArrayDeque<>();
        stack.push(method);
        while (!stack.isEmpty()) {
            Node node = stack.pop();
            ids.put(node, nodes.size());
            nodes.add(node);
            List<Node> below = children(node);
            for (int i = below.size() - 1; i >= 0; i--) {
                // What is declared inside has a line of its own.
                if (!below.get(i).label().equals("METHOD") && !below.get(i).label().equals("TYPE_DECL")) {
                    stack.push(below.get(i));
                }
            }
        }
        StringBuilder out = new StringBuilder("{\"file\":" + quoted(method.filename()) + ",\"method\":" + quoted(method.name()) + ",\"nodes\":[");
        for (Node node : nodes) {
            if (ids.get(node) > 0) out.append(',');
            out.append("{\"label\":").append(quoted(node.label()))
                .append(",\"name\":").append(quoted(text(node, "NAME")))
                .append(",\"code\":").append(quoted(text(node, "CODE")))
                .append(",\"control\":").append(quoted(text(node, "CONTROL_STRUCTURE_TYPE")))
                .append(",\"line\":").append(number(node, "LINE_NUMBER"))
                .append(",\"column\":").append(number(node, "COLUMN_NUMBER"))
                .append(",\"argument\":").append(number(node, "ARGUMENT_INDEX")).append('}');
        }
        out.append("],\"edges\":[");
        boolean first = true;
        for (Node node : nodes) {
            for (String kind : KINDS) {
                for (Iterator<Edge> edges = node.outE(kind); edges.hasNext();) {
                    Edge edge = edges.next();
                    Integer target = ids.get(edge.inNode());
                    if (target == null) continue;
                    Object variable = edge.property("VARIABLE");
                    out.append(first ? "" : ",").append('[').append(quoted(kind)).append(',').append(ids.get(node)).append(',')
                        .append(target).append(',').append(quoted(variable == null ? "" : variable)).append(']');
                    first = false;
                }
            }
        }
        for (scala.collection.Iterator<DotSerializer.Edge> edges = new DdgGenerator().generate(method, semantics).edges().iterator(); edges.hasNext();) {
            DotSerializer.Edge edge = edges.next();
            Integer source = ids.get(edge.src());
            Integer target = ids.get(edge.dst());
            if (source == null || target == null) continue;
            out.append(first ? "" : ",").append("[\"DDG\",").append(source).append(',').append(target).append(',').append(quoted(edge.label())).append(']');
            first = false;
        }
        return out.append("]}").toString();
    }

    public static void main(String[] arguments) throws Exception {
        Try<?> created = create(arguments[0], arguments[1]);
        if (created.isFailure()) throw new IllegalStateException(created.failed().get());
        Cpg cpg = (Cpg) created.get();
        X2Cpg.applyDefaultOverlays(cpg);
        Semantics semantics = DefaultSemantics$.MODULE$.apply();
        new OssDataFlow(new OssDataFlowOptions(MAX_DEFINITIONS, OssDataFlowOptions.$lessinit$greater$default$2()), semantics)
            .run(new LayerCreatorContext(cpg, Option.empty()), false);
        try (PrintWriter out = new PrintWriter(arguments[2], "UTF-8")) {
            for (Iterator<Node> nodes = cpg.graph().nodes("METHOD"); nodes.hasNext();) {
                Method method = (Method) nodes.next();
                if (!method.isExternal()) out.println(line(method, semantics));
            }
        }
        System.exit(0);
    }
}
