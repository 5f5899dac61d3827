"""What watches the system: rules and alerts as YAML, dashboards as Python that writes Grafana's JSON."""
